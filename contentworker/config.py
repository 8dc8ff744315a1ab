"""`worker.toml` and the environment, joined into one frozen, validated object.

Precedence: default in the settings model < `worker.toml` < `WORKER__SECTION__KEY` in the environment.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from contentworker.editorial.settings import (
    ContentSettings,
    EscalationSettings,
    LlmSettings,
    PipelineSettings,
)
from contentworker.errors import ConfigError
from contentworker.runtime.settings import RuntimeSettings

__all__ = ["ENVIRONMENT_PREFIX", "ROOT", "SettingValue", "Settings", "describe", "load"]

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT_PREFIX = "WORKER__"
DEFAULT_ORIGIN = "default"


class Settings(RuntimeSettings):
    """Everything in `worker.toml`."""

    content: ContentSettings = ContentSettings()
    llm: LlmSettings = LlmSettings()
    escalations: EscalationSettings = EscalationSettings()
    pipeline: PipelineSettings = PipelineSettings()


class SettingValue(NamedTuple):
    """One setting: its dotted key, its value, and where the value comes from."""

    key: str
    value: Any
    origin: str
    """`default`, the file's name, or the environment variable's name."""


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the configuration.

    Without arguments it reads `worker.toml` of this checkout and the process's environment, once.

    Raises:
        ConfigError: one error with a line for each problem: file (or variable), key, what is allowed.
    """
    if path is None and environ is None:
        return _load_own()
    return _load(path or ROOT / "worker.toml", os.environ if environ is None else environ)[0]


def describe(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Iterator[SettingValue]:
    """Yield every setting with its value and origin, in the order of the settings models."""
    path = path or ROOT / "worker.toml"
    settings, origins = _load(path, os.environ if environ is None else environ)
    for keys, value in _leaves(settings):
        yield SettingValue(".".join(keys), value, origins.get(keys, DEFAULT_ORIGIN))


@cache
def _load_own() -> Settings:
    return _load(ROOT / "worker.toml", os.environ)[0]


def _load(path: Path, environ: Mapping[str, str]) -> tuple[Settings, dict[tuple[str, ...], str]]:
    tree = _read(path)
    origins = dict.fromkeys(_keys(tree), path.name)
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            origins[_override(tree, variable, text)] = variable
    try:
        # JSON mode with strict types: "4" is no number and true no count, yet an array may fill a tuple.
        settings = Settings.model_validate_json(json.dumps(tree, default=str), strict=True)
    except ValidationError as error:
        lines = [_problem(dict(item), path.name, origins) for item in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
    return settings, origins


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror} ({path})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: byte {error.start} is not UTF-8; the file must be UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        twice = re.search(r"Cannot declare \((.+)\) twice (.+)", str(error))
        if twice:
            key = ".".join(re.findall(r"'([^']*)'", twice[1]))
            raise ConfigError(
                f"{path.name}: {key}: declared twice {twice[2]}; each table, so each queue, is allowed once"
            ) from None
        raise ConfigError(f"{path.name}: is not valid TOML: {error}") from None


def _override(tree: dict[str, Any], variable: str, text: str) -> tuple[str, ...]:
    """Put an environment variable's value into the tree; its keys are matched without regard to case."""
    names = variable.removeprefix(ENVIRONMENT_PREFIX).split("__")
    if not all(names):
        raise ConfigError(f"{variable}: must have the form {ENVIRONMENT_PREFIX}SECTION__KEY")
    keys: list[str] = []
    node = tree
    for depth, name in enumerate(names):
        spelling = {re.sub(r"[.-]", "_", key).upper(): key for key in node}
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
    """`8`, `true` and `["a"]` mean what they mean in TOML; anything else is the string as it stands."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def _keys(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _keys(value, (*above, key))
        else:
            yield (*above, key)


def _leaves(node: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(node).model_fields:
        value = getattr(node, name)
        tables = value.items() if isinstance(value, dict) else [(None, value)]
        for key, item in tables:
            keys = (*above, name) if key is None else (*above, name, key)
            if isinstance(item, BaseModel):
                yield from _leaves(item, keys)
            else:
                yield keys, item


def _problem(error: dict[str, Any], file_name: str, origins: Mapping[tuple[str, ...], str]) -> str:
    """Say one problem in a line: where, which key, what is allowed."""
    keys = tuple(str(part) for part in error["loc"] if part != "[key]")
    # The origin of the key; where the problem is between several keys, those of all.
    involved = {origins[given] for given in origins if _one_leads_to_other(given, keys)} or {file_name}
    where = ", ".join(sorted(involved, key=lambda origin: (origin != file_name, origin)))
    key = ".".join(keys)
    if error["type"] == "extra_forbidden":
        allowed = ", ".join(_model_at(keys[:-1]).model_fields)
        return f"{where}: {key}: unknown key; allowed here: {allowed}"
    if error["type"] == "missing":
        return f"{where}: {key}: is required"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], dict) else f", not {error['input']!r}"
    return f"{where}: {key + ': ' if key else ''}{message[0].lower()}{message[1:]}{given}"


def _one_leads_to_other(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """An array's origin explains a wrong element; a key's origin explains the unknown section it is in."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _model_at(keys: tuple[str, ...]) -> type[BaseModel]:
    """The settings model that a path of keys leads to."""
    model: type[BaseModel] = Settings
    for key in keys:
        field = model.model_fields.get(key)
        if field is None:  # the name of a queue: the model is that of the table's values
            continue
        annotation: Any = field.annotation
        model = (
            annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else annotation.__args__[1]
        )
    return model
