"""A machine to install on: a folder in the place of `/`, and stand-ins for what only root may call."""

import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contentworker import config
from contentworker.installer import apply, prepare, release
from contentworker.installer.layout import Layout
from contentworker.installer.machine import find_python
from contentworker.installer.manifest import Manifest
from contentworker.installer.plan import Plan
from contentworker.installer.prepare import Options
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "/opt/content-worker"
QUEUES = ("alpha", "beta", "celery")
DESK = "celery-desk.service"  # editorial
FLOWER, REDIS = "celery-flower.service", "celery-redis.service"

SYSTEMCTL = """\
#!/bin/sh
# The state of each unit is a file, and calls are logged. The file fails/UNIT makes a unit fail, always or, if
# it names a release, with that release. A gap: a worker was restarted while no stand-in served its queue.
S={state}
[ "$1" = --version ] && {{ cat "$S/version"; exit; }}
case $1 in is-active | is-enabled | show) ;; *) echo "systemctl $*" >>"$S/calls" ;; esac
verb=$1; shift; code=0
for unit; do
    case $verb in
    show) cat "$S/memory/$unit" 2>/dev/null ;;
    is-active) cat "$S/active/$unit" 2>/dev/null || echo inactive ;;
    is-enabled) [ -e "$S/masked/$unit" ] && echo masked ;;
    enable) : >"$S/enabled/$unit" ;;
    disable) rm -f "$S/enabled/$unit" ;;
    stop) rm -f "$S/active/$unit" ;;
    start | restart)
        queue=${{unit#*@}}; queue=${{queue%.service}}
        runs=$(readlink "{queues}/$queue" || readlink "{current}") && runs=${{runs##*/}}
        fails=$(cat "$S/fails/$unit" 2>/dev/null || echo never)
        [ -e "$S/masked/$unit" ] && fails=
        case $verb-$(cat "$S/active/$unit" 2>/dev/null)-$unit in
        *-next.service) ;;
        restart-active-celery-worker@*)
            [ -e "$S/active/${{unit%.service}}-next.service" ] || echo "$unit" >>"$S/gaps" ;;
        esac
        case $unit in
        celery-preflight@*) # it ends: nothing of it stays active
            while IFS== read -r key value; do
                [ "$key" = WorkingDirectory ] && folder=${{value%?i}}$queue
            done <"{units}/celery-preflight@.service"
            cd "{root}$folder" || exit 1
            ./environment/bin/python -BES -c "import celery_worker" 2>"$S/journal" && continue
            echo "Job for $unit failed." >&2; exit 1 ;;
        celery-redis.service) while read -r key value; do
            [ "$key" = port ] && echo "$value" >"$S/port"
        done <"{redis}" ;;
        celery-worker@*) if [ -e "$S/active/celery-redis.service" ]; then
            read -r url <"{url}"; read -r port <"$S/port"
            case $url in *:$port/*) ;; *) fails= ;; esac
        fi ;;
        esac
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
# The third argument is the place in the journal to start after, or the number of lines.
case "$*" in *--show-cursor*) echo "-- cursor: s=now"; exit ;; esac
echo "what $2 logged $3"
cat "{state}/journal"
"""


class Shared:
    """What the machines of all tests share, as the tests run one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = find_python(config.load(environ={}).python.versions, os.environ)
        self.holders = [_reserved() for _ in range(3)]
        self.flower_port, self.redis_port, self.other_redis_port = (
            int(each.getsockname()[1]) for each in self.holders
        )

    def built(self, source: release.Source) -> Path:
        """A release, which is built only once: nothing changes it, as it is copied to each machine."""
        built = self.folder / source.identity
        if not built.exists():
            _build(source, self.folder).rename(built)
        return built

    def close(self) -> None:
        """Let go of the ports."""
        for each in self.holders:
            each.close()


_build = release.build  # the fixture `machine` replaces it


class Machine:
    """A folder that stands for a machine with systemd, and a checkout to install on it."""

    def __init__(self, folder: Path, shared: Shared) -> None:
        self.shared = shared
        self.folder, self.target, self.state = folder, folder / "root", folder / "state"
        self.programs, self.checkout = folder / "bin", folder / "checkout"
        self.layout = Layout(self.target, PREFIX)
        self.redis_port, self.flower_port = shared.redis_port, shared.flower_port
        self.desk_port = 0  # editorial
        self.said: list[str] = []
        (self.target / "run/systemd/system").mkdir(parents=True)
        for name in ("active", "enabled", "fails", "masked", "memory", "runs"):
            (self.state / name).mkdir(parents=True)
        (self.state / "version").write_text("systemd 252 (252.1)\n")
        (self.state / "calls").touch()
        (self.state / "journal").touch()
        self.programs.mkdir()
        links = {"queues": self.at(f"{PREFIX}/queues"), "current": self.at(f"{PREFIX}/current")}
        links["units"], links["root"] = self.at("/etc/systemd/system"), self.target
        links["redis"] = self.at("/etc/content-worker/redis.conf")
        links["url"] = self.at("/etc/content-worker/credentials/REDIS_URL")
        self.program("systemctl", SYSTEMCTL.format(state=self.state, **links))
        for name in ("systemd-sysusers", "systemd-tmpfiles", "userdel"):
            self.program(name, NOTING.format(name=name, state=self.state))
        self.program("journalctl", JOURNAL.format(state=self.state))
        for name in ("sh", "cat", "rm", "readlink", "sleep"):
            (self.programs / name).symlink_to(Path("/bin") / name)
        self.program("sudo", SUDO)
        self.write_checkout("1")

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
        prepared = prepare.prepare(options)
        return prepared.plan(options, self.shared.built(prepared.source))

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

    def gaps(self) -> list[str]:
        """The workers that were restarted while no other one served their queue."""
        gaps = self.state / "gaps"
        return gaps.read_text().splitlines() if gaps.exists() else []

    def active(self) -> dict[str, str]:
        """The units that run, and the release that each runs."""
        active = [path.name for path in (self.state / "active").iterdir() if _is_active(path)]
        return {unit: (self.state / "runs" / unit).read_text().strip() for unit in sorted(active)}

    def enabled(self) -> set[str]:
        return {path.name for path in (self.state / "enabled").iterdir()}

    def fail(self, unit: str, release: str = "") -> None:
        """From now on this unit does not start, with one release or with any."""
        (self.state / "fails" / unit).write_text(release)

    def mask(self, unit: str) -> None:
        """`systemctl mask`."""
        (self.state / "masked" / unit).touch()
        self.at("/etc/systemd/system").mkdir(parents=True, exist_ok=True)
        self.at(f"/etc/systemd/system/{unit}").symlink_to(os.devnull)

    def move_redis(self) -> None:
        """From now on the checkout gives our Redis another port."""
        self.redis_port = self.shared.other_redis_port

    def repair(self) -> None:
        """From now on every unit starts."""
        for path in (self.state / "fails").iterdir():
            path.unlink()

    def files(self) -> dict[str, object]:
        """Everything below the root: contents and mode of a file, where a link points, mode of a folder."""
        found: dict[str, object] = {}
        for path in sorted(self.target.rglob("*")):
            name, mode = str(path.relative_to(self.target)), path.lstat().st_mode
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = (mode, path.read_bytes() if path.is_file() else None)
        return found


def _reserved() -> socket.socket:
    """A reserved port: bound, so that no other program gets it, and without a listener."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


class _Listeners:
    """Listen where Flower and Redis would, while the stand-in of systemd says that they run."""

    def __init__(self, machine: Machine) -> None:
        active, port = machine.state / "active", machine.state / "port"
        self.ports: dict[Path, Callable[[], int]] = {
            active / DESK: lambda: machine.desk_port,  # editorial
            active / FLOWER: lambda: machine.flower_port,
            active / REDIS: lambda: int(port.read_text() or 0),
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
            wanted = {port() for unit, port in self.ports.items() if _is_active(unit)}
            for port in wanted - listening.keys():
                listening[port] = socket.create_server(("127.0.0.1", port))
            for port in listening.keys() - wanted:
                listening.pop(port).close()
        for each in listening.values():
            each.close()


def _is_active(unit: Path) -> bool:
    try:
        return unit.read_text() == "active\n"
    except FileNotFoundError:
        return False
