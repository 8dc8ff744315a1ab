"""Serves a queue while its worker is restarted: `celery-worker@QUEUE-next`, a second one, stands in for it.

1. The stand-in starts with the new release, and is ready. If it does not become ready, nothing else happened.
2. The worker finishes its tasks, however long they take, and starts again. The stand-in serves the queue.
3. The worker is ready. The stand-in finishes its tasks and stops.

So every worker has the same name before and after. A stand-in is an instance of the same unit, with links to
the drop-ins of its worker. Nothing enables it, so it never starts with the machine. If a run is killed, its
stand-ins go on serving until the next run, `uninstall` or a boot.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from contentworker import worker_names
from contentworker.installer import layout as places
from contentworker.installer.changes import beside
from contentworker.installer.layout import Layout
from contentworker.installer.plan import Say
from contentworker.installer.systemd import Systemd

__all__ = ["StandIns", "links"]

SERVING = ("active", "deactivating")
"""States of a worker that has a queue to hand over; while it finishes its tasks it takes no more."""
RUNNING = ("active", "inactive", "unknown")
"""States of a worker that needs no stand-in: it serves, or a person stopped it."""
VARIABLE = "WORKER_QUEUE"
"""Tells a stand-in which queue it serves. The units of older releases do not have it."""
DROP_INS = ("/run/systemd/system", places.UNITS, "/run/systemd/system.control", "/etc/systemd/system.control")
"""Where `systemctl edit` and `set-property` put drop-ins (systemd.unit(5)); the last one wins."""
OWN_DROP_INS = DROP_INS[0]
"""Where those of stand-ins are. It is empty after a boot."""


def links(layout: Layout, workers: Iterable[str]) -> list[str]:
    """The links to a release that a run makes for the stand-ins of workers, and removes at its end."""
    return [layout.queue(worker_names.stand_in(name)) for name in workers]


class StandIns:
    """The stand-ins of one run, and those that an interrupted run left: `known` are the links of that."""

    def __init__(self, layout: Layout, systemd: Systemd, say: Say, known: Iterable[str]) -> None:
        self.layout, self.systemd, self.say = layout, systemd, say
        names = [Path(path).name for path in known]
        self.workers = [name for name in names if worker_names.stand_in(name) in names]
        self.prepared: set[str] = set()

    @property
    def links(self) -> list[str]:
        """Every link of theirs to a release."""
        return links(self.layout, self.workers)

    def prepare(self, workers: Iterable[str]) -> None:
        """Give stand-ins the settings of these workers. systemd sees them when it reads its files again."""
        self.prepared = set(workers)
        self.workers = [*dict.fromkeys([*self.workers, *self.prepared])]
        for name in self.prepared:
            own = self._drop_ins(name)
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            for path, place in self._settings(name).items():
                (own / path).symlink_to(place)

    def start(self, worker: str, release: str) -> None:
        """Have a stand-in serve the queue of a worker that is about to be restarted, if the worker serves it.

        Raises:
            ServiceError: the stand-in did not become ready.
        """
        unit = places.worker(worker_names.stand_in(worker))
        if worker not in self.prepared or self.systemd.state(places.worker(worker)) not in SERVING:
            return
        if self.systemd.state(unit) == "active":  # an interrupted run left it, and it serves as well
            return
        if not self._is_supported(worker):
            self.say(f"{places.worker(worker)}: its units have no {VARIABLE}, so its queue waits meanwhile")
            return
        self._link(self.layout.queue(worker_names.stand_in(worker)), release)
        self.systemd.restart(unit)
        self.say(f"started {unit}, which serves the queue while {places.worker(worker)} is restarted")

    def stop(self, worker: str) -> None:
        """Let the stand-in of a worker finish its tasks, and stop."""
        unit = places.worker(worker_names.stand_in(worker))
        if worker in self.workers and self.systemd.state(unit) not in ("inactive", "unknown"):
            self.systemd.stop(unit)
            self.systemd.forget_failures([unit])
            self.say(f"stopped {unit}")

    def stop_all(self) -> None:
        """Stop every stand-in but those whose worker is broken: its queue would not be served."""
        for worker in self.workers:
            unit = places.worker(worker)
            if self.systemd.state(unit) in RUNNING:
                self.stop(worker)
            else:
                name = places.worker(worker_names.stand_in(worker))
                self.say(f"{unit} does not run; {name} serves its queue until you type the command again")

    def forget(self) -> None:
        """Remove what the stand-ins that do not run had in folders."""
        for worker in self.workers:
            if self.systemd.state(places.worker(worker_names.stand_in(worker))) in ("inactive", "unknown"):
                self.layout.at(self.layout.queue(worker_names.stand_in(worker))).unlink(missing_ok=True)
                shutil.rmtree(self._drop_ins(worker), ignore_errors=True)

    def _drop_ins(self, worker: str) -> Path:
        """The folder with the drop-ins of the stand-in of a worker."""
        return self.layout.at(f"{OWN_DROP_INS}/{places.worker(worker_names.stand_in(worker))}.d")

    def _settings(self, worker: str) -> dict[str, str]:
        """The drop-ins of a worker by their names."""
        folders = [f"{folder}/{places.worker(worker)}.d" for folder in DROP_INS]
        return {
            path.name: f"{folder}/{path.name}"
            for folder in folders
            for path in sorted(self.layout.at(folder).glob("*.conf"))
        }

    def _is_supported(self, worker: str) -> bool:
        """Whether the installed units can tell a stand-in its queue; a rollback may lead to older ones."""
        unit = self.layout.at(f"{places.UNITS}/{places.template(places.worker(worker))}")
        own = [self.layout.at(place).read_text("utf-8") for place in self._settings(worker).values()]
        return f"${{{VARIABLE}}}" in unit.read_text("utf-8") and any(f"{VARIABLE}=" in text for text in own)

    def _link(self, path: str, to: str) -> None:
        """Point a link of the installation at another path. A stand-in may run while a run is undone."""
        place = self.layout.at(path)
        new = beside(place, "new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.relpath(to, Path(path).parent))
        new.replace(place)
