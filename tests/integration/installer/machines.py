"""A machine to install on: a folder in the place of `/`, and stand-ins for what only root may call."""

import itertools
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

from contentworker.installer import apply, prepare, release
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.plan import Plan
from contentworker.installer.prepare import Options
from tests.support import ROOT

PREFIX = "/opt/content-worker"
QUEUES = ("alpha", "beta", "celery")
FLOWER, REDIS = "celery-flower.service", "celery-redis.service"

SYSTEMCTL = """\
#!/bin/sh
# The state of each unit is a file. What is told is noted. A unit is made to fail by the file fails/UNIT, and
# then only with the release that this names, if it names one.
S={state}
[ "$1" = --version ] && {{ cat "$S/version"; exit; }}
[ "$1" = is-active ] || echo "systemctl $*" >>"$S/calls"
verb=$1; shift; code=0
for unit; do
    case $verb in
    is-active) cat "$S/active/$unit" 2>/dev/null || echo inactive ;;
    enable) : >"$S/enabled/$unit" ;;
    disable) rm -f "$S/enabled/$unit" ;;
    stop) rm -f "$S/active/$unit" ;;
    start | restart)
        queue=${{unit#*@}}; queue=${{queue%.service}}
        runs=$(readlink "{queues}/$queue" || readlink "{current}") && runs=${{runs##*/}}
        fails=$(cat "$S/fails/$unit" 2>/dev/null || echo never)
        if [ "${{fails:-$runs}}" = "$runs" ]; then
            echo failed >"$S/active/$unit"; echo "Job for $unit failed." >&2; code=1
        else
            while [ -e "$S/hangs" ]; do sleep 0.02; done
            echo active >"$S/active/$unit"; echo "$runs" >"$S/runs/$unit"
        fi ;;
    esac
done
exit $code
"""
NOTING = """\
#!/bin/sh
echo "{name} $*" >>{state}/calls
"""
SUDO = """\
#!/bin/sh
[ "$1" = -n ] && shift
exec "$@"
"""
JOURNAL = """\
#!/bin/sh
echo "what $2 logged"
"""


class Machine:
    """A folder that stands for a machine with systemd, and a checkout to install on it."""

    def __init__(self, folder: Path, environments: Path) -> None:
        self.folder, self.target, self.state = folder, folder / "root", folder / "state"
        self.programs, self.checkout = folder / "bin", folder / "checkout"
        self.layout = Layout(self.target, PREFIX)
        self.holders = _reserved(), _reserved()
        self.redis_port, self.flower_port = (int(each.getsockname()[1]) for each in self.holders)
        self.cache = self.checkout / ".nox" / "install"
        self.numbers = itertools.count()
        self.said: list[str] = []
        (self.target / "run/systemd/system").mkdir(parents=True)
        for name in ("active", "enabled", "fails", "runs"):
            (self.state / name).mkdir(parents=True)
        (self.state / "version").write_text("systemd 252 (252.1)\n")
        (self.state / "calls").touch()
        self.programs.mkdir()
        links = {"queues": self.at(f"{PREFIX}/queues"), "current": self.at(f"{PREFIX}/current")}
        self.program("systemctl", SYSTEMCTL.format(state=self.state, **links))
        for name in ("systemd-sysusers", "systemd-tmpfiles", "userdel"):
            self.program(name, NOTING.format(name=name, state=self.state))
        self.program("journalctl", JOURNAL)
        for name in ("sh", "cat", "rm", "readlink", "sleep"):
            (self.programs / name).symlink_to(Path("/bin") / name)
        self.program("sudo", SUDO)
        self.write_checkout("1")
        # The environment without packages is the same for all tests.
        self.cache.parent.mkdir()
        self.cache.symlink_to(environments)

    def close(self) -> None:
        """Let go of its ports."""
        for each in self.holders:
            each.close()

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def write_checkout(self, version: str, queues: tuple[str, ...] = QUEUES, more: str = "") -> None:
        """Make the checkout another version, with these queues."""
        templates = self.checkout / "systemd" / "templates"
        if not templates.exists():
            templates.mkdir(parents=True)
            for path in (ROOT / "systemd" / "templates").iterdir():
                (templates / path.name).write_bytes(path.read_bytes())
            (self.checkout / "locks").mkdir()
            for name in ("service", "embedded"):
                (self.checkout / f"locks/{name}.txt").touch()
        (self.checkout / "celery_worker.py").write_text(f"VERSION = {version!r}\n")
        tables = [f'[queues.{name}]\ndescription = "Of tests"\n' for name in queues]
        ports = f"[broker]\nport = {self.redis_port}\n[flower]\nport = {self.flower_port}\n"
        (self.checkout / "worker.toml").write_text("\n".join([ports, *tables, more]))

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.programs)}

    def options(self, **more: object) -> Options:
        """What to do with this checkout, with more in the environment or other options."""
        environ = {**self.environ, **{name: str(more.pop(name)) for name in list(more) if name.isupper()}}
        return replace(Options(self.checkout, environ, self.target), **more)  # type: ignore[arg-type]

    def plan(self, **more: object) -> Plan:
        """Look at everything, and build."""
        options = self.options(**more)
        found = prepare.prepare(options)
        with release.locked(self.cache):
            built = release.build(found.source, self.cache).folder
        # The next test's release takes its place there.
        return found.plan(options, built.rename(self.folder / f"built-{next(self.numbers)}"))

    def apply(self, plan: Plan) -> None:
        """Do it, with services that listen while systemd says that they run."""
        self.said.clear()
        with self.listening():
            apply.apply(plan, self.said.append)

    def listening(self) -> "_Listeners":
        """Have Flower and Redis listen while they run."""
        return _Listeners(self)

    def install(self, **more: object) -> str:
        """Look, build and apply; return the release."""
        plan = self.plan(**more)
        self.apply(plan)
        return plan.release

    def uninstall(self, *, removes_data: bool = False) -> None:
        self.apply(Plan("uninstall", str(self.target), PREFIX, "content-worker", removes_data=removes_data))

    def at(self, path: str) -> Path:
        return self.layout.at(path)

    @property
    def manifest(self) -> Manifest | None:
        return Manifest.load(self.at(self.layout.manifest))

    def calls(self) -> list[str]:
        """What was told to systemd and others since this was last asked."""
        calls = (self.state / "calls").read_text().splitlines()
        (self.state / "calls").write_text("")
        return calls

    def active(self) -> dict[str, str]:
        """The units that run, and the release that each runs."""
        active = [path.name for path in (self.state / "active").iterdir() if _is_active(path)]
        return {unit: (self.state / "runs" / unit).read_text().strip() for unit in sorted(active)}

    def enabled(self) -> set[str]:
        return {path.name for path in (self.state / "enabled").iterdir()}

    def fail(self, unit: str, release: str = "") -> None:
        """From now on this unit does not start, with one release or with any."""
        (self.state / "fails" / unit).write_text(release)

    def mend(self) -> None:
        for path in (self.state / "fails").iterdir():
            path.unlink()

    def files(self) -> dict[str, object]:
        """Everything below the root: contents and mode of a file, where a link points, mode of a folder."""
        found: dict[str, object] = {}
        for path in sorted(self.target.rglob("*")):
            name, mode = str(path.relative_to(self.target)), path.lstat().st_mode
            if path.is_symlink():
                found[name] = os.readlink(path)
            else:
                found[name] = (mode, path.read_bytes() if path.is_file() else None)
        return found


def _reserved() -> socket.socket:
    """A port that nobody else gets: bound, so that nobody listens on it either."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


class _Listeners:
    """Listen where Flower and Redis would, while the stand-in of systemd says that they run."""

    def __init__(self, machine: Machine) -> None:
        self.ports = {
            machine.state / "active" / FLOWER: machine.flower_port,
            machine.state / "active" / REDIS: machine.redis_port,
        }
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _serve(self) -> None:
        listening: dict[int, socket.socket] = {}
        while not self.done.wait(0.005):
            for unit, port in self.ports.items():
                runs = _is_active(unit)
                if runs and port not in listening:
                    listening[port] = socket.create_server(("127.0.0.1", port))
                elif not runs and port in listening:
                    listening.pop(port).close()
        for each in listening.values():
            each.close()


def _is_active(unit: Path) -> bool:
    try:
        return unit.read_text() == "active\n"
    except FileNotFoundError:
        return False
