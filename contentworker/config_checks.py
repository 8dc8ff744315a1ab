"""The rules between several settings, and between the settings and the checkout. Each problem is yielded."""

import graphlib
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from inspect import Signature
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from contentworker import worker_names
from contentworker.errors import did_you_mean
from contentworker.runtime.settings import RuntimeSettings
from contentworker.runtime.worker import routing
from contentworker.runtime.worker.task_names import TaskNames
from contentworker.sections import ListeningSection
from contentworker.toml_lines import Keys

__all__ = [
    "Problem",
    "about_arguments",
    "about_tasks",
    "against_checkout",
    "between_settings",
    "leaves",
    "variable_part",
]

PYTHON_OF_DEBIAN = {"bookworm": "3.11", "12": "3.11", "trixie": "3.13", "13": "3.13"}
"""The `python3` of each Debian that the devcontainer's image may be."""


OTHER = "\0"
"""Stands in the text of a problem for the place of its second key: ` (line 7)`, ` (default)`."""


class Problem(NamedTuple):
    """Settings that do not fit: first the key that the error names, then those it does not fit to."""

    keys: tuple[Keys, ...]
    text: str


def between_settings(settings: RuntimeSettings) -> Iterator[Problem]:
    """Settings that contradict each other."""
    queues = settings.queues
    if settings.default_queue not in queues:
        close = did_you_mean(settings.default_queue, queues)
        text = f"must be one of the queues: {', '.join(queues)}; not {settings.default_queue}{close}"
        yield Problem((("default_queue",), *(("queues", name) for name in queues)), text)
    named = settings.limits.named
    for section, tables in (("queues", queues), ("schedules", settings.schedules), ("limits", named)):
        yield from _names_with_one_variable(section, tables)
    yield from _names_of_two_workers(settings)
    yield from _patterns_of_two_queues(settings)
    yield from _ports_of_two(settings)
    yield from _too_short_visibility_timeout(settings)
    yield from _programs_of_up(settings)
    yield from _queues_of_limits(settings)


def _names_with_one_variable(section: str, names: Iterable[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in names:
        variable = variable_part(name)
        if variable in seen:
            shared = f"WORKER__{section.upper()}__{variable}__…"
            other = f"{section[:-1]} {seen[variable]!r}{OTHER}"
            text = f"has the same variables ({shared}) as {other}; rename one of them"
            yield Problem(((section, name), (section, seen[variable])), text)
        seen.setdefault(variable, name)


def _names_of_two_workers(settings: RuntimeSettings) -> Iterator[Problem]:
    """Each worker and each stand-in is a service, and needs a name of its own."""
    for owner, queue in settings.queues.items():
        workers = worker_names.of_queue(owner, queue.workers)
        taken = [(name, f"has (workers = {queue.workers})") for name in workers[1:]]
        taken += [(worker_names.stand_in(name), "gets during an upgrade") for name in workers]
        for name, why in taken:
            if name in settings.queues:
                text = f"has the name that a worker of queue {owner!r}{OTHER} {why}; rename it"
                yield Problem((("queues", name), ("queues", owner)), text)


def variable_part(key: str) -> str:
    """How the name of an environment variable spells a key."""
    return re.sub(r"[.-]", "_", key).upper()


def _patterns_of_two_queues(settings: RuntimeSettings) -> Iterator[Problem]:
    owners: dict[str, Keys] = {}
    for name, queue in settings.queues.items():
        for index, pattern in enumerate(queue.tasks):
            keys = ("queues", name, "tasks", f"[{index}]")
            first = owners.setdefault(pattern, keys)
            if first[1] != name:
                text = f"{pattern!r} is already in queue {first[1]!r}{OTHER}; a task goes to one queue"
                yield Problem((keys, first), text)


def _ports_of_two(settings: RuntimeSettings) -> Iterator[Problem]:
    seen: dict[int, Keys] = {}
    for keys, value in leaves(settings):
        if keys[-1] == "port":
            first = seen.setdefault(value, keys)
            if first != keys:
                text = f"{value} is the port of {'.'.join(first)}{OTHER}, too; each needs one of its own"
                yield Problem((keys, first), text)


def _too_short_visibility_timeout(settings: RuntimeSettings) -> Iterator[Problem]:
    limits, retries = settings.limits, settings.retries
    longest = max(limits.hard_time_limit_seconds, retries.max_delay_seconds + retries.jitter_seconds)
    if settings.broker.visibility_timeout_seconds <= longest:
        text = (
            f"must be more than {longest:g}, to exceed limits.hard_time_limit_seconds and "
            "retries.max_delay_seconds + retries.jitter_seconds"
        )
        others = (
            ("limits", "hard_time_limit_seconds"),
            ("retries", "max_delay_seconds"),
            ("retries", "jitter_seconds"),
        )
        yield Problem((("broker", "visibility_timeout_seconds"), *others), text)


def _programs_of_up(settings: RuntimeSettings) -> Iterator[Problem]:
    sections = [name for name, value in settings if isinstance(value, ListeningSection)]
    for name, program in settings.up.items():
        for index, needed in enumerate(program.after):
            if needed not in settings.up:
                others = [each for each in settings.up if each != name]
                text = f"there is no program {needed!r} in [up]; allowed: {', '.join(others)}"
                yield Problem((("up", name, "after", f"[{index}]"),), text + did_you_mean(needed, others))
        if program.ready_section and program.ready_section not in sections:
            close = did_you_mean(program.ready_section, sections)
            yield Problem((("up", name, "ready_section"),), f"must be one of: {', '.join(sections)}{close}")
    try:
        graphlib.TopologicalSorter({name: each.after for name, each in settings.up.items()}).prepare()
    except graphlib.CycleError as error:
        names = [*reversed(error.args[1][1:])]
        text = f"waits for itself: {' after '.join([*names, names[0]])}"
        yield Problem(tuple(("up", name, "after") for name in names), text)


def _queues_of_limits(settings: RuntimeSettings) -> Iterator[Problem]:
    owners: dict[str, Keys] = {}
    for name, limit in settings.limits.named.items():
        if settings.broker.transport == "plain":
            text = f'needs broker.transport = "leased"{OTHER}: no other transport has limits'
            yield Problem((("limits", name), ("broker", "transport")), text)
        for index, queue in enumerate(limit.queues):
            keys = ("limits", name, "queues", f"[{index}]")
            if queue not in settings.queues:
                close = did_you_mean(queue, settings.queues)
                text = f"must be queues: {', '.join(settings.queues)}; not {queue}{close}"
                yield Problem((keys,), text)
            first = owners.setdefault(queue, keys)
            if first[1] != name:
                text = f"queue {queue!r} already has the limit {first[1]!r}{OTHER}; a task has one limit"
                yield Problem((keys, first), text)


def against_checkout(settings: RuntimeSettings, root: Path) -> Iterator[Problem]:
    """Settings that name what the folder of worker.toml does not have."""
    locks = sorted(file.stem for file in (root / "locks").glob("*.txt"))
    for index, name in enumerate(settings.services.locks):
        if locks and name not in locks:
            text = f"there is no locks/{name}.txt; allowed: {', '.join(locks)}{did_you_mean(name, locks)}"
            yield Problem((("services", "locks", f"[{index}]"),), text)
    image, versions = settings.devcontainer.image, settings.python.versions
    release = re.match(r"(?:.*/)?debian:([a-z]+|\d+)", image)
    python = PYTHON_OF_DEBIAN.get(release[1]) if release else None
    if python and python not in versions and (root / ".devcontainer").is_dir():
        text = f"must contain {python}, the Python of devcontainer.image ({image}), or choose another image"
        yield Problem((("python", "versions"), ("devcontainer", "image")), text)


def about_tasks(settings: RuntimeSettings, tasks: TaskNames) -> Iterator[Problem]:
    """Settings that name a task which does not exist, and tasks that two queues could get."""
    named = dict(_named_tasks(settings))
    for keys, name in named.items():
        if tasks.lacks(name):
            text = f"there is no task {name!r} in tasks/{did_you_mean(name, tasks.names)}"
            yield Problem((keys,), text)
    yield from _tasks_of_limits(settings, tasks)
    told = set()
    for name in sorted({*tasks.names, *named.values()}):
        matches = routing.best_matches(name, settings)
        pair = tuple(each.pattern for each in matches)
        if len(set(pair)) > 1 and pair not in told:
            told.add(pair)
            first, second = matches[0], matches[1]
            text = (
                f"{second.pattern!r} and {first.pattern!r} of queue {first.queue!r}{OTHER} match the task "
                f"{name!r} and are equally specific; write its whole name into one of the queues"
            )
            both = (second, first)
            yield Problem(tuple(("queues", each.queue, "tasks", f"[{each.position}]") for each in both), text)


def _tasks_of_limits(settings: RuntimeSettings, tasks: TaskNames) -> Iterator[Problem]:
    limits = settings.limits.named
    for name, limit in limits.items():
        for index, pattern in enumerate(limit.tasks):
            if tasks.is_complete and not any(fnmatchcase(each, pattern) for each in tasks.names):
                text = f"no task in tasks/ matches {pattern!r}{did_you_mean(pattern, tasks.names)}"
                yield Problem((("limits", name, "tasks", f"[{index}]"),), text)
    for task in sorted(tasks.names):
        first, *others = routing.limits_of(task, settings) or [""]
        for other in others:
            if {*limits[first].queues} & {*limits[other].queues}:
                continue  # which `_queues_of_limits` says
            text = f"applies to the task {task!r}, as limit {first!r}{OTHER} does; a task has one limit"
            yield Problem((("limits", other), ("limits", first)), text)


def about_arguments(settings: RuntimeSettings, tasks: Mapping[str, Signature]) -> Iterator[Problem]:
    """Limits whose key is no argument of a task that they apply to. A task is given by its parameters."""
    for task, called in tasks.items():
        for name in routing.limits_of(task, settings):
            key = settings.limits.named[name].key
            takes_any = any(each.kind is each.VAR_KEYWORD for each in called.parameters.values())
            if key and key not in called.parameters and not takes_any:
                allowed = ", ".join(called.parameters) or "none"
                close = did_you_mean(key, called.parameters)
                text = f"the task {task!r} has no argument {key!r}{close}; it has: {allowed}"
                yield Problem((("limits", name, "key"),), text)


def _named_tasks(node: BaseModel, above: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Each setting that names a task of ours: a section has a method `named_tasks` if it has any."""
    for key, task in getattr(node, "named_tasks", dict)().items():
        yield (*above, key), task
    for keys, section in _sections(node, above):
        yield from _named_tasks(section, keys)


def _sections(node: BaseModel, above: Keys) -> Iterator[tuple[Keys, BaseModel]]:
    for name in type(node).model_fields:
        value = getattr(node, name)
        tables = value if isinstance(value, dict) else {}
        yield from (
            ((*above, name, key), each) for key, each in tables.items() if isinstance(each, BaseModel)
        )
        if isinstance(value, BaseModel):
            yield (*above, name), value


def leaves(node: BaseModel, above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every setting: the path of its keys, and its value."""
    for name in type(node).model_fields:
        value = getattr(node, name)
        tables = value.items() if isinstance(value, dict) else [(None, value)]
        for key, item in tables:
            keys = (*above, name) if key is None else (*above, name, key)
            if isinstance(item, BaseModel):
                yield from leaves(item, keys)
            else:
                yield keys, item
    for key, table in (node.model_extra or {}).items():
        yield from leaves(table, (*above, key))
