"""What a person types and sees: plan, question, refusals."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from contentworker.installer import credentials
from contentworker.installer.cli import AS_ROOT, main
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.runtime.records import single_host
from tests.integration.installer.machines import PREFIX, Machine
from tests.support import PATIENCE, free_port, throwaway_redis, wait_until

UNITS = "/etc/systemd/system"


class Typed:
    """What a command printed, and its exit code."""

    def __init__(self, machine: Machine, *arguments: str, **environ: str) -> None:
        with machine.listening():
            result = CliRunner().invoke(main, arguments, obj=machine.options(**environ))
        self.code, self.text = result.exit_code, result.output

    @property
    def error(self) -> str:
        """The one line that a refusal is."""
        assert self.code == 1, self.text
        assert self.text.startswith("Error: "), self.text
        assert self.text.count("\n") == 1, self.text
        return self.text.removeprefix("Error: ").strip()


def test_from_install_to_uninstall(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    """Each command says before what it will do and after what is the case; a second run has nothing to do."""
    first = Typed(machine, "install", "--yes")
    assert first.code == 0, first.text + capfd.readouterr().err
    release = machine.active()["celery-flower.service"]
    assert f"Content Worker, release {release} of this checkout:" in first.text
    assert re.search(r"^ +\d+ s  code: \d+ files$", first.text, re.MULTILINE), "how far it is"
    assert f"one of its own on 127.0.0.1:{machine.redis_port}" in first.text
    assert "new, without login: content-worker, content-worker-redis" in first.text
    assert "systemctl status celery-worker 'celery-worker@*' celery-beat celery-flower" in first.text
    before = machine.files()
    machine.calls()
    again = Typed(machine, "install", "--yes")
    assert again.text == f"Release {release} is installed already: nothing to do, nothing was changed.\n"
    assert machine.files() == before
    assert not machine.calls()
    machine.write_checkout("2")
    assert "To switch to this checkout: nox -s upgrade" in Typed(machine, "install", "--yes").error
    upgraded = Typed(machine, "upgrade", "--yes")
    second = machine.active()["celery-flower.service"]
    assert f"From release {release} to {second}" in upgraded.text
    assert "restarted one after another, each when its tasks have ended: alpha, beta, celery" in upgraded.text
    assert "which is not restarted" in upgraded.text
    back = Typed(machine, "upgrade", "--rollback", "--yes")
    assert f"From release {second} back to {release}" in back.text
    assert machine.active()["celery-flower.service"] == release
    gone = Typed(machine, "uninstall", "--yes")
    assert gone.text.endswith("Uninstalled.\n")
    assert "data        secrets, Redis' data, accounts: kept" in gone.text
    assert machine.at("/etc/content-worker/credentials/REDIS_URL").exists()
    assert "kept: /etc/content-worker/credentials/REDIS_URL" in capfd.readouterr().out
    planned = Typed(machine, "install", "--dry-run").text
    assert "the workers alpha, beta, celery" in planned
    assert "with the password that it had" in planned


@pytest.mark.parametrize("command", [("install",), ("upgrade",), ("upgrade", "--rollback"), ("uninstall",)])
@pytest.mark.parametrize("option", ["--dry-run", None])
def test_nothing_is_done_unasked(machine: Machine, command: tuple[str, ...], option: str | None) -> None:
    """--dry-run shows the plan, without --yes and a terminal there is a refusal: neither changes a thing."""
    if command[0] != "install":
        machine.install()
        machine.write_checkout("2")
        machine.install()
    machine.write_checkout("3")
    machine.calls()
    before, checkout = machine.files(), sorted(machine.checkout.rglob("*"))
    typed = Typed(machine, *command, *([option] if option else []))
    assert typed.code == (0 if option else 1)
    assert ("there is no terminal to ask on" in typed.text) is (option is None)
    assert machine.files() == before
    assert sorted(machine.checkout.rglob("*")) == checkout
    assert not machine.calls()


def test_staging_calls_no_program(machine: Machine, tmp_path: Path) -> None:
    """With --root the files are placed in that folder, without systemd, root, or any program."""
    for path in machine.programs.iterdir():
        path.unlink()
    stage = tmp_path / "stage"
    before = machine.files()
    typed = Typed(machine, "install", "--yes", "--root", str(stage), FLOWER_BASIC_AUTH="me:secret")
    assert typed.code == 0, typed.text
    assert "FLOWER_BASIC_AUTH: no secret is staged" in typed.text
    assert f"is staged in {stage}; nothing was started" in typed.text
    assert (stage / "opt/content-worker/current/celery_worker.py").is_file()
    assert (stage / "etc/systemd/system/celery-worker@alpha.service.d/50-worker-toml.conf").is_file()
    assert (stage / "etc/systemd/system/multi-user.target.wants/celery-secrets.service").is_file()
    assert machine.files() == before
    assert not machine.calls()
    machine.write_checkout("2")
    assert Typed(machine, "install", "--yes", "--root", str(stage)).code == 0
    assert not list((stage / "etc/content-worker/credentials").iterdir())


def test_two_machines_of_one_image_have_secrets_of_their_own(machine: Machine, tmp_path: Path) -> None:
    """No file of the image holds one; at its first boot each machine makes them, and keeps what is there."""
    stage = tmp_path / "stage"
    assert Typed(machine, "install", "--yes", "--root", str(stage)).code == 0
    passwords = set()
    for name in ("one", "two"):
        layout = Layout(tmp_path / name, PREFIX)
        shutil.copytree(stage, layout.target, symlinks=True)
        folder = layout.at("/etc/content-worker/credentials")
        (folder / "METRICS_BASIC_AUTH").touch(0o600)
        assert credentials.make_missing(layout) == []
        made = {path.name: path.read_text() for path in folder.iterdir()}
        assert credentials.make_missing(layout) == []
        assert made == {path.name: path.read_text() for path in folder.iterdir()}
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        password = made["redis-password.conf"].split()[1]
        assert made["REDIS_URL"] == f"redis://:{password}@127.0.0.1:{machine.redis_port}/0\n"
        assert made["METRICS_BASIC_AUTH"] == ""
        passwords |= {password, made["FLOWER_BASIC_AUTH"]}
    assert len(passwords) == 4


def test_an_image_that_uses_another_redis(machine: Machine, tmp_path: Path) -> None:
    """Its machines get the address from a person; nothing makes one up, and nothing else is left out."""
    stage = tmp_path / "stage"
    assert Typed(machine, "install", "--yes", "--root", str(stage), REDIS_URL="redis://:pw@h/0").code == 0
    assert not [path for path in stage.rglob("*") if path.is_file() and b"pw@h" in path.read_bytes()]
    assert not (stage / "etc/systemd/system/celery-redis.service").exists()
    assert credentials.make_missing(Layout(stage, PREFIX)) == ["REDIS_URL"]
    assert (stage / "etc/content-worker/credentials/FLOWER_BASIC_AUTH").exists()
    assert not (stage / "etc/content-worker/credentials/REDIS_URL").exists()


def test_another_folder_and_account(machine: Machine) -> None:
    """--prefix and --user are in every unit, and later commands find the folder."""
    typed = Typed(machine, "install", "--yes", "--prefix", "/srv/cw", "--user", "cw")
    assert typed.code == 0, typed.text
    unit = machine.at(f"{UNITS}/celery-worker@.service").read_text()
    assert "User=cw\n" in unit
    assert "WorkingDirectory=/srv/cw/queues/%i\n" in unit
    assert "u cw-redis " in machine.at("/etc/sysusers.d/content-worker.conf").read_text()
    assert "installed already" in Typed(machine, "install", "--yes").text
    assert "installed in /srv/cw; to move it" in Typed(machine, "install", "--prefix", PREFIX).error
    assert "run as cw; for another account" in Typed(machine, "install", "--user", "other").error
    assert Typed(machine, "uninstall", "--yes", "--data").code == 0
    assert not machine.at("/srv/cw").exists()


def test_a_machine_without_systemd(machine: Machine) -> None:
    """Without systemctl there is a word on what to use instead."""
    (machine.programs / "systemctl").unlink()
    error = Typed(machine, "install", "--yes").error
    assert "there is no systemd on this machine; use systemd/supervisord.conf" in error


def test_an_old_systemd(machine: Machine) -> None:
    """systemd 246 has no credentials."""
    (machine.state / "version").write_text("systemd 246 (246.1-1)\n+PAM\n")
    error = Typed(machine, "install", "--yes").error
    assert error.startswith("systemd 246 is too old; 247 or newer is needed")


def test_a_systemd_that_does_not_run(machine: Machine) -> None:
    """In most containers systemd is installed and something else is the first process."""
    machine.at("/run/systemd/system").rmdir()
    assert "does not run this machine" in Typed(machine, "install", "--yes").error


def test_neither_root_nor_sudo(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root and has no sudo is told both ways out."""
    (machine.programs / "sudo").unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "there is no sudo; become root" in Typed(machine, "install", "--yes").error


def test_sudo_is_called_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that needs root is done by one call; without a terminal sudo does not ask."""
    (machine.programs / "sudo").write_text(
        f'#!/bin/sh\necho "sudo $1" >>{machine.state}/calls\nshift\nexec "$@"\n'
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Typed(machine, "install", "--yes").code == 0
    assert [call for call in machine.calls() if call.startswith("sudo")] == ["sudo -n"]


def test_root_writes_nothing_where_it_comes_from(machine: Machine, tmp_path: Path) -> None:
    """What runs as root leaves no bytecode, nor anything else, in the checkout."""
    copy = tmp_path / "copy" / "contentworker"
    shutil.copytree(Path(AS_ROOT).parent.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(copy.rglob("*"))
    command = [sys.executable, "-I", str(copy / "installer" / "as_root.py")]
    plan = machine.plan()
    with machine.listening():
        subprocess.run(command, input=plan.text(), text=True, env=machine.environ, check=True)
    assert machine.active()
    assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize("service", ["redis", "flower"])
def test_a_taken_port(machine: Machine, service: str) -> None:
    """A port that is in use is named, with the program that listens and the key to change."""
    port = machine.redis_port if service == "redis" else machine.flower_port
    key = "broker.port" if service == "redis" else "flower.port"
    with socket.create_server(("127.0.0.1", port)):
        error = Typed(machine, "install", "--yes").error
    assert f"port {port} of {service.title()} is taken by " in error
    assert f"(pid {os.getpid()})" in error
    assert key in error


def test_a_taken_port_that_an_upgrade_moves_to(machine: Machine) -> None:
    """Our own services may listen on their ports; a new port must be free."""
    machine.install()
    assert Typed(machine, "preflight").code == 0
    machine.move_redis()
    machine.write_checkout("2")
    with socket.create_server(("127.0.0.1", machine.redis_port)):
        error = Typed(machine, "upgrade", "--yes").error
    assert error.startswith(f"port {machine.redis_port} of Redis is taken by ")
    assert Typed(machine, "upgrade", "--dry-run").code == 0


def test_a_redis_without_its_file(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan says that messages would be lost when Redis dies; the operator decides."""
    monkeypatch.setenv("PATH", os.defpath)  # where a Redis may be
    with throwaway_redis(tmp_path / "redis") as address:
        typed = Typed(machine, "install", "--dry-run", REDIS_URL=address)
    assert typed.code == 0, typed.text
    assert "the append-only file is off" in typed.text
    assert "accounts    new, without login: content-worker\n" in typed.text  # and none for a Redis


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param(
            "redis://:secret@192.0.2.1:6379/0",
            "the services may not reach 192.0.2.1 (192.0.2.1); add it to services.allowed_addresses",
            id="forbidden",
        ),
        pytest.param("redis://:secret@127.0.0.1:{port}/0", "cannot be used: ", id="silent"),
        pytest.param("redis://:secret@does-not-exist.invalid/0", "has no address", id="unknown"),
        pytest.param("http://x", "must be redis://host:6379/0", id="no address"),
    ],
)
def test_a_redis_that_cannot_be_used(machine: Machine, address: str, said: str) -> None:
    """An address that the services could not use is refused before anything is done; no secret is shown."""
    error = Typed(machine, "install", "--yes", REDIS_URL=address.format(port=free_port())).error
    assert said in error
    assert "secret" not in error.replace("secrets", "")


@pytest.mark.parametrize(
    ("name", "mode", "remedy"),
    [("", 0o755, "chmod 700 /etc/content-worker/credentials"), ("OPENAI_API_KEY", 0o640, "chmod 600 ")],
)
def test_open_secrets(machine: Machine, name: str, mode: int, remedy: str) -> None:
    """A secret that others can read is refused, with file, mode and what to type."""
    folder = machine.at("/etc/content-worker/credentials")
    folder.mkdir(parents=True, mode=0o700)
    (folder / "OPENAI_API_KEY").touch(0o600)
    (folder / name).chmod(mode)
    error = Typed(machine, "install", "--yes").error
    assert f"mode {mode:04o}" in error
    assert remedy in error


def test_an_edited_unit_is_in_the_plan(machine: Machine) -> None:
    """The plan says which files were edited and are kept."""
    machine.install()
    machine.at(f"{UNITS}/celery-flower.service").write_text("# mine\n")
    machine.write_checkout("2")
    typed = Typed(machine, "upgrade", "--dry-run")
    assert f"note        {UNITS}/celery-flower.service was edited by hand and is kept" in typed.text


def test_a_service_that_does_not_run_is_said(machine: Machine) -> None:
    """Where all is installed there is nothing to do; a service that was stopped is named all the same."""
    machine.install()
    (machine.state / "active/celery-flower.service").unlink()
    typed = Typed(machine, "install")
    assert typed.text.startswith("note: celery-flower.service is inactive\n")
    assert "nothing was changed" in typed.text


def test_wrong_configuration(machine: Machine) -> None:
    """What is wrong in worker.toml is said as everywhere, before anything is done."""
    machine.write_checkout("1", more="[limits]\nsoft = 3\n")
    assert re.match(r"worker\.toml:\d+: limits\.soft: unknown key", Typed(machine, "install", "--yes").error)


def test_a_small_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is said before anything is built."""
    usage = shutil.disk_usage(machine.folder)._replace(free=50_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "has 50 MB free" in Typed(machine, "install", "--yes").error


def test_nothing_to_upgrade(machine: Machine) -> None:
    """Where nothing is installed, nor any more, the way is to install."""
    for command in (("upgrade",), ("upgrade", "--rollback")):
        assert "Type: nox -s install" in Typed(machine, *command).error
    machine.install()
    assert "no release before this one" in Typed(machine, "upgrade", "--rollback").error
    machine.uninstall()
    assert "Type: nox -s install" in Typed(machine, "upgrade").error
    assert Typed(machine, "upgrade", "--rollback").code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_interrupted_while_services_start(machine: Machine, number: signal.Signals) -> None:
    """Ctrl-C, a closed terminal or a shutdown take back what was begun, however often they come."""
    plan, before = machine.plan(), machine.files()
    (machine.state / "hangs").touch()
    command = [sys.executable, "-I", "-B", AS_ROOT]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True, env=machine.environ) as run:
        assert run.stdin is not None
        run.stdin.write(plan.text())
        run.stdin.close()
        run.stdin = None
        wait_until(lambda: "systemctl start" in (machine.state / "calls").read_text(), "a service starts")
        run.send_signal(number)
        run.send_signal(number)
        _, errors = run.communicate(timeout=PATIENCE)
    (machine.state / "hangs").unlink()
    assert run.returncode == 1
    assert errors == f"Error: interrupted by {number.name}; all changes were undone\n"
    assert machine.files() == before
    assert not machine.enabled()


@pytest.mark.parametrize("unit", ["celery-redis.service", "celery-flower.service"])
def test_killed_while_services_start(machine: Machine, unit: str) -> None:
    """Root's part is killed: that is said, and the same command goes on, whatever already listens."""
    really = machine.programs / "systemctl"
    really.rename(machine.programs / "really")
    program = (
        f'#!/bin/sh\n"{machine.programs}/really" "$@"\ncase "$*" in *start*{unit}) kill -9 $PPID ;; esac\n'
    )
    machine.program("systemctl", program)
    error = Typed(machine, "install", "--yes").text.splitlines()[-1]
    assert error == "Error: root's part was killed (exit code -9); type the same command again to continue"
    (machine.programs / "really").rename(really)
    typed = Typed(machine, "install", "--yes")
    assert typed.code == 0, typed.text
    assert "an earlier run, to release" in typed.text
    assert set(machine.enabled()) == {
        "celery-redis.service",
        "celery-worker.service",
        "celery-beat.service",
        "celery-flower.service",
    }


def test_two_at_once(machine: Machine) -> None:
    """A second installer does nothing while one is at work."""
    machine.at("/opt").mkdir()
    plan = machine.plan()
    descriptor = os.open(machine.at("/opt"), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(InstallError, match="another installation is running"):
            machine.apply(plan)
    finally:
        os.close(descriptor)


def test_the_plan_says_what_changes_and_why(machine: Machine) -> None:
    """A value of the environment, where a kept one comes from, the units' lines that change, and beat."""
    name = "WORKER__QUEUES__BETA__MEMORY_MAX_MEBIBYTES"
    first = Typed(machine, "install", "--yes", **{name: "3000"})
    assert f"{name}=3000 (of this environment)" in first.text
    assert "; beat, which sends the schedules; Flower" in first.text
    assert "installed already" in Typed(machine, "install", "--yes").text
    machine.mask("celery-worker@alpha.service")
    changed = Typed(machine, "upgrade", "--dry-run", **{name: "4000"}).text
    assert f"{name}=4000 (of this environment; before: 3000)" in changed
    assert f"{UNITS}/celery-worker@beta.service.d/50-worker-toml.conf\n" in changed
    assert "-MemoryMax=3000M\n" in changed
    assert "+MemoryMax=4000M\n" in changed
    assert "masked on this machine: alpha" in changed
    machine.write_checkout("2")
    kept = Typed(machine, "upgrade", "--dry-run").text
    assert f"{name}=3000 (kept in /etc/content-worker/environment.installed)" in kept


def test_preflight(machine: Machine) -> None:
    """It asks what an installation asks, and does nothing; an installed release is loaded as well."""
    before = machine.files()
    assert Typed(machine, "preflight").text.endswith("Nothing is in the way.\n")
    with socket.create_server(("127.0.0.1", machine.redis_port)):
        assert "is taken by" in Typed(machine, "preflight").error
    assert machine.files() == before
    machine.install()
    assert "which is installed, can be loaded" in Typed(machine, "preflight").text
    machine.at("/etc/systemd/system/celery-preflight@.service").unlink()  # as of a release before it
    assert Typed(machine, "preflight").text.endswith("Nothing is in the way.\n")


# >>> editorial
QUEUE = '[queues.records]\ndescription = "d"\ntasks = ["tasks.escalation.*"]\n'


def test_what_a_second_machine_is_asked_first(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SQLite file that another host has, a database that does not answer, a user with too few rights."""
    machine.write_checkout("1", more=QUEUE)
    with ExitStack() as stack:
        with monkeypatch.context() as context:  # for the server alone: systemd is there, too
            context.setenv("PATH", os.defpath)
            address = stack.enter_context(throwaway_redis(tmp_path / "redis"))
        client = stack.enter_context(redis.Redis.from_url(address))
        single_host.register(client, "records", "first 1", 60)
        refused = Typed(machine, "install", "--yes", REDIS_URL=address).error
        assert refused.startswith("the host first serves the queue records with an SQLite file")
        assert refused.endswith("Type: sudo systemctl mask celery-worker@records")
        silent = {"DATABASE_URL": f"postgresql://x:secret@127.0.0.1:{free_port()}/x"}
        error = Typed(machine, "install", "--yes", REDIS_URL=address, **silent).error
        assert error.startswith("DATABASE_URL: 127.0.0.1:")
        assert "secret" not in error
        machine.mask("celery-worker@records.service")
        assert Typed(machine, "install", "--dry-run", REDIS_URL=address).code == 0
        client.execute_command("ACL", "SETUSER", "few", "on", ">x", "~*", "&*", "+@all", "-brpop", "-xadd")
        few = address.replace("//", "//few:x@")
        assert "its user may not use brpop, xadd;" in Typed(machine, "preflight", REDIS_URL=few).error
        assert client.keys() == [b"contentworker:only-host:records"]


# <<< editorial
