"""Brings an installation to a release: a first one, a newer, the one before, or what was interrupted.

First the intent is written, then files are placed, and only then services are started, each when what it
needs is complete. Whatever fails, all that was done is taken back, and what ran before runs again.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from contentworker.installer import accounts, credentials, placing, removal
from contentworker.installer import layout as places
from contentworker.installer.changes import Changes, sweep
from contentworker.installer.errors import InstallError, ServiceError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.plan import Plan
from contentworker.installer.systemd import Systemd

__all__ = ["apply"]

Say = Callable[[str], None]

UNKNOWN = "?"
"""What a unit runs while it is being restarted, or stopped."""


def apply(plan: Plan, say: Say = print) -> None:
    """Do what a plan says, or leave everything as it was.

    Raises:
        InstallError: it could not be done, and was taken back.
    """
    layout = Layout(Path(plan.target), plan.prefix)
    with _alone(layout):
        try:
            if plan.action == "uninstall":
                removal.uninstall(plan, layout, _systemd(plan), say)
            else:
                _Run(plan, layout, say).run()
        except OSError as error:
            done = (
                "what is left, the same command removes"
                if plan.action == "uninstall"
                else "all was taken back"
            )
            raise InstallError(f"{_described(error)}; {done}") from error


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Hold the folder above the prefix: nobody else installs meanwhile."""
    folder = layout.at(layout.prefix).parent
    while not folder.is_dir():
        folder = folder.parent
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InstallError("somebody else installs at this moment; wait for that to end") from None
    finally:
        os.close(descriptor)


def _systemd(plan: Plan) -> Systemd:
    addresses = {places.FLOWER: plan.flower_address, places.REDIS: ("127.0.0.1", plan.redis_port)}
    return Systemd(is_live=plan.is_live, patience_seconds=plan.patience_seconds, addresses=addresses)


def _described(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # of each file that could not be copied
        place, _, reason = error.args[0][0]
        return f"{place}: {reason}"
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or error}"


class _Run:
    """One run. What it did to services is remembered, to be taken back."""

    def __init__(self, plan: Plan, layout: Layout, say: Say) -> None:
        self.plan, self.layout, self.say = plan, layout, say
        self.systemd = _systemd(plan)
        self.changes = Changes(layout)
        found = Manifest.load(layout.at(layout.manifest))
        self.before = found
        self.manifest = deepcopy(found) or Manifest(plan.prefix, plan.user)
        if self.manifest.current is None:
            self.manifest.started.clear()
        self.files: dict[str, bytes] = {}
        data = (places.REDIS_DATA, places.STATE)
        self.data_made = [folder for folder in data if not layout.at(folder).exists()]
        self.accounts_made = False
        self.begun: list[str] = []
        """Units that did not run before."""
        self.restarted: list[str] = []
        self.stopped: list[str] = []
        self.gone: list[str] = []
        """Paths that were removed, or are kept as somebody else's."""

    def run(self) -> None:
        """Do it all, or take it all back."""
        if self.before:
            sweep(self.layout, self.before.paths(self.layout))
        credentials.refuse_open_ones(self.layout)
        source = Path(self.plan.source or self.layout.at(self.layout.release(self.plan.release)))
        try:
            self.files = placing.place(self.plan, self.layout, self.manifest, self.changes, source, self.say)
            self._serve(places.queues_of(source))
            self._finish()
        except BaseException as error:
            self._take_back(error)
            raise
        self.changes.commit(self.layout.manifest)
        try:
            removal.prune(self.layout, self.manifest, self.say)
        except OSError as error:  # all runs; the next run removes it
            self.say(f"an old release could not be removed: {_described(error)}")

    def _serve(self, queues: list[str]) -> None:
        """Have systemd run what was placed, queue by queue."""
        self.accounts_made = self.plan.is_live
        self.systemd.create_users(str(self.layout.at("/etc/sysusers.d/content-worker.conf")))
        self.systemd.create_folders(str(self.layout.at("/etc/tmpfiles.d/content-worker.conf")))
        self.systemd.reload()
        if self.manifest.own_redis:
            version = places.redis_version(self.files)
            if places.REDIS not in self.manifest.started:
                self.changes.link(self.layout.current, self.layout.release(self.plan.release))
            self._bring([places.REDIS], version)
        known = [queue for queue in queues if places.worker(queue) in self.manifest.started]
        for queue in known:
            self._switch([queue])
        self._switch([queue for queue in queues if queue not in known])
        self._leave(queues)
        self.changes.link(self.layout.current, self.layout.release(self.plan.release))
        self._bring([places.UMBRELLA], "")
        for unit in (places.BEAT, places.FLOWER):
            if self._has(unit):  # a release to go back to may be older than a service
                self._bring([unit], self.plan.release)
        for unit in (places.HEALTH, places.METRICS):
            if self.systemd.state(unit) == "active":  # whoever wants it has started it
                self.restarted.append(unit)
                self.systemd.restart(unit)

    def _switch(self, queues: list[str]) -> None:
        """Have the workers of some queues run the new release."""
        for queue in queues:
            self.changes.link(self.layout.queue(queue), self.layout.release(self.plan.release))
        self._bring([places.worker(queue) for queue in queues], self.plan.release)

    def _bring(self, units: list[str], version: str) -> None:
        """Have units run this version of what they run, unless they do. One that was stopped stays so."""
        due = [unit for unit in units if self.manifest.started.get(unit) != version]
        new = [unit for unit in due if unit not in self.manifest.started]
        if new:
            self.begun += new
            if enabled := [unit for unit in new if "@" not in unit]:
                self.systemd.enable(*enabled)
            # What an interrupted run began may run another release.
            # (The umbrella runs none, and restarting it would restart every worker.)
            again = self.before is not None and new != [places.UMBRELLA]
            (self.systemd.restart if again else self.systemd.start)(*new)
            self._tell(f"started {', '.join(new)}")
        for unit in due:
            if unit in new:
                continue
            if self.manifest.started[unit] != UNKNOWN and self.systemd.state(unit) == "inactive":
                self._tell(f"{unit} was stopped, and stays so")
                continue
            self.restarted.append(unit)
            self._note(unit, UNKNOWN)
            self.systemd.restart(unit)
            self._tell(f"restarted {unit}")
        for unit in due:
            self._note(unit, version)

    def _note(self, unit: str, version: str) -> None:
        self.manifest.started[unit] = version
        placing.write_manifest(self.layout, self.manifest, self.changes)

    def _has(self, unit: str) -> bool:
        """Whether this release has a unit; of a queue's worker `queues_of` says so."""
        return f"{places.UNITS}/{unit}" in self.files

    def _leave(self, queues: list[str]) -> None:
        """Stop the workers of queues, and the services, that are no more."""
        served = {places.worker(queue) for queue in queues}
        for unit in [unit for unit in self.manifest.started if unit not in served and not self._has(unit)]:
            self.stopped.append(unit)
            self._note(unit, UNKNOWN)
            self.systemd.stop(unit)
            self.systemd.disable(unit)
            del self.manifest.started[unit]
            if "@" in unit:
                link = self.layout.queue(unit.removeprefix("celery-worker@").removesuffix(".service"))
                self.changes.remove(link)
                self.gone.append(link)
            self._tell(f"stopped {unit}, which this release does not have")
        if files := placing.remove_gone(self.manifest, self.changes, self.files, self.say):
            self.gone += files
            self.systemd.reload()

    def _finish(self) -> None:
        """Write what is now the case, where before the intent was written."""
        manifest = self.manifest
        if manifest.current != self.plan.release:
            manifest.previous, manifest.current = manifest.current, self.plan.release
        manifest.pending = None
        manifest.files = {path: sums[-1:] for path, sums in manifest.files.items() if path not in self.gone}
        manifest.links = [path for path in manifest.links if path not in self.gone]
        self.changes.prepare(self.layout.manifest, manifest.text())

    def _take_back(self, error: BaseException) -> None:
        """Put files and services back to where they were."""
        if isinstance(error, ServiceError) and error.journal:
            self.say(f"--- what {str(error).partition(':')[0]} logged last:\n{error.journal}\n---")
        problems = []
        if self.begun:
            problems += _tried(self.systemd.stop, *self.begun)
            problems += _tried(self.systemd.disable, *self.begun)
        problems += self.changes.undo()
        problems += _tried(self.systemd.reload)
        if self.before and self.before.pending:
            try:
                problems += self._go_back_further(self.before)
            except OSError as also:
                problems.append(_described(also))
        else:
            for unit in self.restarted:
                problems += _tried(self.systemd.restart, unit)
            for unit in self.stopped:
                problems += _tried(self.systemd.start, unit)
        if self.begun:
            self.systemd.forget_failures(self.begun)
        if self.before is None:
            problems += self._forget_accounts()
        if problems:
            raise InstallError(f"{error}; and taking back failed: {'; '.join(problems)}") from error
        left = (
            f"release {self.before.current} runs"
            if self.before and self.before.current
            else "nothing is left"
        )
        self._tell(f"all was taken back: {left}")

    def _go_back_further(self, before: Manifest) -> list[str]:
        """Also take back what an earlier run had done that was interrupted; return what did not work."""
        if before.current is None:
            problems = _tried(removal.stop_all, self.layout, before, self.systemd, self.say)
            for line in removal.clear(self.layout, before):
                self.say(f"kept: {line}")
            return problems
        if before.current == self.plan.release:
            return []
        self.say(f"going back to release {before.current}")
        before.started.update(dict.fromkeys([*self.restarted, *self.stopped], UNKNOWN))
        placing.rewrite_manifest(self.layout, before)
        plan = replace(self.plan, release=before.current, source="")
        return _tried(_Run(plan, self.layout, self.say).run)

    def _forget_accounts(self) -> list[str]:
        """Remove what systemd made for a first run: accounts, and folders for data."""
        for folder in self.data_made:
            shutil.rmtree(self.layout.at(folder), ignore_errors=True)
        shutil.rmtree(self.layout.at(places.RUNTIME), ignore_errors=True)
        return accounts.remove(self.manifest.users) if self.accounts_made else []

    def _tell(self, text: str) -> None:
        if self.plan.is_live:
            self.say(text)


def _tried(action: Callable[..., object], *arguments: object) -> list[str]:
    try:
        action(*arguments)
    except (InstallError, OSError) as error:
        return [str(error)]
    return []
