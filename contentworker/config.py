"""All settings, checked and frozen: `load().limits.max_tasks_per_child`.

`WORKER__SECTION__KEY` in the environment wins over `worker.toml`, which wins over the default in the model.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from contentworker import config_checks, config_errors, printable
from contentworker.config_checks import leaves, variable_part
from contentworker.config_errors import VARIABLE_PREFIX as ENVIRONMENT_PREFIX
from contentworker.config_errors import Sources, close_variable
from contentworker.editorial import desk_settings
from contentworker.editorial import settings as editorial
from contentworker.errors import ConfigError
from contentworker.runtime import settings as runtime
from contentworker.runtime.worker import task_names
from contentworker.runtime.worker.task_names import TaskNames
from contentworker.toml_lines import Keys

__all__ = [
    "ENVIRONMENT_PREFIX",
    "FILE_VARIABLE",
    "ROOT",
    "SettingValue",
    "Settings",
    "check_tasks",
    "describe",
    "file",
    "load",
]

ROOT = Path(__file__).resolve().parent.parent
FILE_VARIABLE = "CONTENTWORKER_TOML"
"""Names another file: in a project that `nox -s adopt` made, the machinery's tests have one of their own."""


class Settings(runtime.RuntimeSettings):
    """Everything in `worker.toml`."""

    # >>> editorial
    content: editorial.ContentSettings = editorial.ContentSettings()
    llm: editorial.LlmSettings = editorial.LlmSettings()
    escalations: editorial.EscalationSettings = editorial.EscalationSettings()
    pipeline: editorial.PipelineSettings = editorial.PipelineSettings()
    desk: desk_settings.DeskSettings = desk_settings.DeskSettings()
    # <<< editorial


class SettingValue(NamedTuple):
    """One setting: its dotted key, its value, and where the value comes from."""

    key: str
    value: Any
    origin: str
    """`default`, the file's name, or the environment variable's name."""


def file() -> Path:
    """The settings file of this process."""
    return Path(os.environ.get(FILE_VARIABLE, ROOT / "worker.toml"))


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the configuration; without arguments once for the whole process.

    Raises:
        ConfigError: one line for each problem: file and line, or the variable; the key; what is allowed.
    """
    return (_load_own() if path is None and environ is None else _load(path, environ))[0]


def describe(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Iterator[SettingValue]:
    """Yield every setting with its value and origin, in the order of the settings models."""
    settings, sources = _load(path, environ)
    for keys, value in leaves(settings):
        yield SettingValue(".".join(keys), value, sources.origins.get(keys, "default"))


def check_tasks(tasks: Mapping[str, Any]) -> None:
    """Check this process's settings again, now that its tasks are known and not only read from the source.

    `tasks` are Celery's, by name.

    Raises:
        ConfigError: as `load`, about settings that name a task.
    """
    settings, sources = _load_own()
    names = TaskNames(frozenset(tasks), is_complete=True)
    problems = [
        *config_checks.about_tasks(settings, names),
        *config_checks.about_arguments(settings, {name: signature(task.run) for name, task in tasks.items()}),
    ]
    if problems:
        raise sources.error(problems)


@cache
def _load_own() -> tuple[Settings, Sources]:
    return _load(None, None)


def _load(path: Path | None, environ: Mapping[str, str] | None) -> tuple[Settings, Sources]:
    checkout = path.parent if path else ROOT
    path = path or file()
    environ = os.environ if environ is None else environ
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # also for a number of too many digits
        raise config_errors.no_toml(path.name, text, str(error)) from None
    origins = dict.fromkeys(_keys(tree), path.name)
    for variable, value in sorted(environ.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            origins[_override(tree, variable, value)] = variable
        elif variable.startswith("WORKER_") and (close := close_variable(variable, Settings, tree)):
            raise ConfigError(f"{variable}: is no variable of this project{close}")
    sources = Sources(path.name, text, origins)
    try:
        # As JSON: strict mode then takes an array for a tuple, but no "4" and no true for a number.
        settings = Settings.model_validate_json(json.dumps(tree, default=str), strict=True)
    except ValidationError as error:
        raise sources.error_of(error, Settings) from None
    problems = [
        *config_checks.between_settings(settings),
        *config_checks.against_checkout(settings, checkout),
        *config_checks.about_tasks(settings, task_names.read(checkout / "tasks")),
    ]
    if problems:
        raise sources.error(problems)
    return settings, sources


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror} ({path})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: byte {error.start} is not UTF-8; the file must be UTF-8") from None


def _override(tree: dict[str, Any], variable: str, text: str) -> Keys:
    """Put the value of an environment variable into the tree; upper and lower case do not matter."""
    names = variable.removeprefix(ENVIRONMENT_PREFIX).split("__")
    if not all(names):
        raise ConfigError(f"{variable}: must have the form {ENVIRONMENT_PREFIX}SECTION__KEY")
    if printable.encodable(text) != text:
        raise ConfigError(f"{variable}: must be UTF-8")
    if "".join(text.splitlines()) != text:  # a second line would be further TOML
        raise ConfigError(f"{variable}: must be one line")
    keys: list[str] = []
    node = tree
    for depth, name in enumerate(names):
        spelling = {variable_part(key): key for key in node}
        key = spelling.get(name.upper(), name.lower())
        keys.append(key)
        if depth == len(names) - 1:
            node[key] = _toml_value(text)
            break
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{variable}: {'.'.join(keys)} is a value, not a section")
    return tuple(keys)


def _toml_value(text: str) -> Any:
    """`8`, `true` and `["a"]` mean what they mean in TOML; all other text is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML; too many digits, or brackets
        return text


def _keys(tree: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _keys(value, (*above, key))
        else:
            yield (*above, key)
