"""Brings a machine to a release: the first one, a newer, the previous one, or one that was interrupted.

1. The intent is written to the manifest.
2. Files are placed (`placing`).
3. Services are started or restarted, queue by queue, each when everything that it needs is complete. While a
   worker is restarted, its stand-in serves the queue (`stand_ins`).
4. The manifest says that all is done, and old releases are removed.

If any of this fails, all changes are undone, and what ran before runs again.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from contentworker.errors import described
from contentworker.installer import addresses, credentials, machine, placing, removal
from contentworker.installer import layout as places
from contentworker.installer.changes import Changes, sweep
from contentworker.installer.errors import InstallError, ServiceError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.plan import Plan, Say
from contentworker.installer.stand_ins import StandIns
from contentworker.installer.systemd import Systemd

__all__ = ["apply"]

UNKNOWN = "?"
"""In the manifest, what a unit runs while it is restarted or stopped: a killed run leaves that open."""


def apply(plan: Plan, say: Say = print) -> None:
    """Do what a plan says, or leave everything as it was.

    Raises:
        InstallError: it could not be done, and all changes were undone.
    """
    layout = Layout(Path(plan.target), plan.prefix)
    with _alone(layout):
        try:
            if plan.action == "uninstall":
                done = "type the same command again to remove the rest"
                removal.uninstall(plan, layout, _systemd(plan, layout), say)
            else:
                done = "all changes were undone"
                _Run(plan, layout, say).run()
        except OSError as error:
            raise InstallError(f"{described(error)}; {done}") from error


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Lock the folder above the prefix, so that no other installation runs at the same time."""
    folder = layout.at(layout.prefix).parent
    while not folder.is_dir():
        folder = folder.parent
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InstallError("another installation is running; wait until it has ended") from None
    finally:
        os.close(descriptor)


def _systemd(plan: Plan, layout: Layout) -> Systemd:
    return Systemd(layout, is_live=plan.is_live, patience_seconds=plan.patience_seconds)


class _Run:
    """One run. It remembers what it did to services, so that it can undo that."""

    def __init__(self, plan: Plan, layout: Layout, say: Say) -> None:
        self.plan, self.layout, self.say = plan, layout, say
        self.systemd = _systemd(plan, layout)
        self.changes = Changes(layout)
        self.before = Manifest.load(layout.at(layout.manifest))
        self.manifest = deepcopy(self.before) or Manifest(plan.prefix, plan.user)
        if self.manifest.current is None:
            self.manifest.started.clear()
        self.stand_ins = StandIns(layout, self.systemd, self._tell, self.manifest.links)
        self.files: dict[str, bytes] = {}
        data = (places.REDIS_DATA, places.STATE)
        self.data_made = [folder for folder in data if not layout.at(folder).exists()]
        self.begun: list[str] = []
        """Units that did not run before."""
        self.restarted: list[str] = []
        self.stopped: list[str] = []
        self.gone: list[str] = []
        """Paths that were removed, or that now belong to the person who edited them."""

    def run(self) -> None:
        """Do it all, or undo it all."""
        if self.before:
            sweep(self.layout, self.before.paths(self.layout))
        credentials.refuse_open_ones(self.layout)
        source = Path(self.plan.source or self.layout.at(self.layout.release(self.plan.release)))
        redis_before = addresses.of(self.layout, places.REDIS)
        try:
            self.files = placing.place(
                self.plan, self.layout, self.manifest, self.changes, source, say=self.say
            )
            self._serve(places.workers_of(source), redis_before)
            self._finish()
        except BaseException as error:
            self._undo(error)
            raise
        self.changes.commit(self.layout.manifest)
        try:
            removal.prune(self.layout, self.manifest, self.say)
        except OSError as error:  # the new release runs; the next run removes the old one
            self.say(f"an old release could not be removed: {described(error)}")

    def _serve(self, workers: list[str], redis_before: tuple[str, int] | None) -> None:
        """Have systemd run the files that were placed, worker by worker."""
        known = [name for name in workers if places.worker(name) in self.manifest.started]
        if self.plan.is_live and self.plan.is_gapless:
            self.stand_ins.prepare(known)
        self.systemd.must("systemd-sysusers", str(self.layout.at("/etc/sysusers.d/content-worker.conf")))
        folders = str(self.layout.at("/etc/tmpfiles.d/content-worker.conf"))
        self.systemd.must("systemd-tmpfiles", "--create", folders)
        self.systemd.reload()
        self._examine()
        if self.manifest.own_redis:
            self._bring_redis(redis_before)
        for name in known:
            self._switch(name)
        self._begin([name for name in workers if name not in known])
        self._leave(workers)
        self.changes.link(self.layout.current, self.layout.release(self.plan.release))
        self._bring([places.UMBRELLA], "")
        for unit in (places.BEAT, places.FLOWER):
            if self._has(unit):  # a rollback may lead to a release that is older than a service
                self._bring([unit], self.plan.release)
        # >>> editorial
        if self._has(places.DESK) and credentials.is_set(self.layout, places.DESK_PASSWORDS):
            self._bring([places.DESK], self.plan.release)
        # <<< editorial
        for unit in (places.HEALTH, places.METRICS):
            if self.systemd.state(unit) == "active":  # they are off unless a person starts them
                self.restarted.append(unit)
                self.systemd.restart(unit)
        self.stand_ins.stop_all()  # also those that an interrupted run left

    def _bring_redis(self, before: tuple[str, int] | None) -> None:
        """Start or restart our Redis, if its files have changed."""
        if places.REDIS not in self.manifest.started:
            self.changes.link(self.layout.current, self.layout.release(self.plan.release))
        elif addresses.of(self.layout, places.REDIS) != before:
            self._pause()
        self._bring([places.REDIS], places.redis_version(self.files))

    def _examine(self) -> None:
        """Load the release as its services will load it, before any of them is stopped for it."""
        is_new = self.before is None or self.before.current != self.plan.release
        if is_new and self._has(places.PREFLIGHT):
            self.systemd.examine(places.preflight(self.plan.release))
            self._tell(f"release {self.plan.release} can be loaded, and what it needs is there")

    def _pause(self) -> None:
        """Stop all that uses our Redis before it moves: a task that ends later could not store its result."""
        units = [unit for unit in self.manifest.started if unit not in (places.REDIS, places.UMBRELLA)]
        running = [unit for unit in units if self.systemd.state(unit) == "active"]
        if running:
            self._tell(f"Redis gets another port; stopping {', '.join(running)}: running tasks end first")
            self.restarted += running
            for unit in running:
                self._note(unit, UNKNOWN)
            self.systemd.stop(*running)
        self.stand_ins.stop_all()

    def _switch(self, name: str) -> None:
        """Bring a worker to the new release, while its queue is served."""
        unit, release = places.worker(name), self.plan.release
        is_due = self.manifest.started[unit] != release and not self.systemd.is_masked(unit)
        if is_due:
            self.stand_ins.start(name, self.layout.release(release))
        self.changes.link(self.layout.queue(name), self.layout.release(release))
        self._bring([unit], release)
        self.stand_ins.stop(name)

    def _begin(self, names: list[str]) -> None:
        """Start the workers that are new."""
        for name in names:
            self.changes.link(self.layout.queue(name), self.layout.release(self.plan.release))
        self._bring(list(map(places.worker, names)), self.plan.release)

    def _bring(self, units: list[str], version: str) -> None:
        """Bring units to a version that do not run it yet. A unit that a person stopped stays stopped."""
        due = [unit for unit in units if self.manifest.started.get(unit) != version]
        for unit in [unit for unit in due if self.systemd.is_masked(unit)]:
            due.remove(unit)
            self.manifest.started.pop(unit, None)  # after it is unmasked, a run starts it as a new one
            self._tell(f"{unit} is masked, and left out")
        new = [unit for unit in due if unit not in self.manifest.started]
        if new:
            self.begun += new
            if enabled := [unit for unit in new if "@" not in unit]:
                self.systemd.must("systemctl", "enable", *enabled)
            # Not only start: an interrupted run may have started it with another release. The umbrella unit
            # runs no release, and a restart of it would restart every worker.
            again = self.before is not None and new != [places.UMBRELLA]
            (self.systemd.restart if again else self.systemd.start)(*new)
            self._tell(f"started {', '.join(new)}")
        for unit in due:
            if unit in new:
                continue
            if self.manifest.started[unit] != UNKNOWN and self.systemd.state(unit) == "inactive":
                self._tell(f"{unit} was stopped, and stays stopped")
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
        """Whether this release has a unit. For a worker, ask `workers_of` instead."""
        return f"{places.UNITS}/{unit}" in self.files

    def _leave(self, workers: list[str]) -> None:
        """Stop the workers and services that this release does not have."""
        served = set(map(places.worker, workers))
        for unit in [unit for unit in self.manifest.started if unit not in served and not self._has(unit)]:
            self.stopped.append(unit)
            self._note(unit, UNKNOWN)
            self.systemd.stop(unit)
            self.systemd.disable(unit)
            del self.manifest.started[unit]
            if "@" in unit:
                link = self.layout.queue(places.name_of(unit))
                self.changes.remove(link)
                self.gone.append(link)
            self._tell(f"stopped {unit}, which this release does not have")
        if files := placing.remove_gone(self.manifest, self.changes, self.files, self.say):
            self.gone += files
            self.systemd.reload()

    def _finish(self) -> None:
        """Prepare the manifest that says that all is done, in the place of the intent."""
        manifest = self.manifest
        self.gone += self.stand_ins.links
        if manifest.current != self.plan.release:
            manifest.previous, manifest.current = manifest.current, self.plan.release
        manifest.pending = None
        manifest.files = {path: sums[-1:] for path, sums in manifest.files.items() if path not in self.gone}
        manifest.links = [path for path in manifest.links if path not in self.gone]
        self.changes.prepare(self.layout.manifest, manifest.text())
        self.stand_ins.forget()

    def _undo(self, error: BaseException) -> None:
        """Put files and services back to where they were."""
        if isinstance(error, ServiceError) and error.journal:
            self.say(f"--- what {error.unit} logged last:\n{error.journal}\n---")
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
                problems.append(described(also))
        else:
            for unit in sorted(dict.fromkeys(self.restarted), key=lambda unit: unit != places.REDIS):
                problems += _tried(self._restart, unit)
            for unit in self.stopped:
                problems += _tried(self.systemd.start, unit)
        problems += _tried(self.stand_ins.stop_all)
        problems += _tried(self.stand_ins.forget)
        if self.begun:
            self.systemd.forget_failures(self.begun)
        if self.before is None:
            problems += self._forget_accounts()
        if problems:
            raise InstallError(f"{error}; and undoing the changes failed: {'; '.join(problems)}") from error
        old = self.before.current if self.before else None
        self._tell(f"all changes were undone: {f'release {old} runs' if old else 'nothing is left'}")

    def _restart(self, unit: str) -> None:
        """Restart a unit with the release that it ran before; a worker while its queue is served."""
        if "@" not in unit:
            self.systemd.restart(unit)
            return
        name = places.name_of(unit)
        link = self.layout.queue(name)
        release = os.path.normpath(Path(link).parent / self.layout.at(link).readlink())
        with suppress(InstallError, OSError):  # the worker is restarted all the same
            self.stand_ins.start(name, release)
        self.systemd.restart(unit)
        self.stand_ins.stop(name)

    def _go_back_further(self, before: Manifest) -> list[str]:
        """Undo what an earlier, interrupted run did as well; return what did not work."""
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
        """Remove what systemd made for the first installation: accounts, and folders for data."""
        for folder in self.data_made:
            shutil.rmtree(self.layout.at(folder), ignore_errors=True)
        shutil.rmtree(self.layout.at(places.RUNTIME), ignore_errors=True)
        return machine.remove_accounts(self.manifest.users)

    def _tell(self, text: str) -> None:
        if self.plan.is_live:
            self.say(text)


def _tried(action: Callable[..., object], *arguments: object) -> list[str]:
    try:
        action(*arguments)
    except (InstallError, OSError) as error:
        return [str(error)]
    return []
