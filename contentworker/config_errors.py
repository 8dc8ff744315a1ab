"""What is wrong with a setting, in one line: file and line, or the variable; the key; what is allowed."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from inspect import get_annotations
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from contentworker.config_checks import OTHER, Problem, variable_part
from contentworker.errors import ConfigError, did_you_mean
from contentworker.printable import one_line
from contentworker.toml_lines import Keys, line_of, lines_of_keys

__all__ = [
    "VARIABLE_PREFIX",
    "Sources",
    "close_variable",
    "inner_model",
    "is_mapping",
    "no_toml",
    "table_model",
]

VARIABLE_PREFIX = "WORKER__"

LONGEST_VALUE = 80
"""Characters of a wrong value that are shown."""
TEXTS = MappingProxyType(
    {
        "missing": "is required",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a finite number",
        "bool_type": "must be true or false",
        "string_type": "must be text in quotes",
        "tuple_type": "must be a list in brackets",
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "model_attributes_type": "must be a table",
        "greater_than": "must be more than {gt:g}",
        "greater_than_equal": "must be at least {ge:g}",
        "less_than": "must be less than {lt:g}",
        "less_than_equal": "must be at most {le:g}",
        "string_too_short": "must not be empty",
        "string_too_long": "must have at most {max_length} characters",
        "too_short": "must not be empty",
    }
)
"""Our words for pydantic's errors, by type."""


NOTHING_TO_SHOW = ("missing", "string_too_short", "string_too_long", "too_short")
"""Types of errors that the value would make no clearer."""
TOML_REASONS = MappingProxyType(
    {
        "Cannot overwrite a value": "a key is there twice",
        "Invalid value": "no value of TOML; text needs quotes",
    }
)
"""Plainer words for `tomllib`'s most frequent reasons."""
QUOTED = MappingProxyType({"int_type": r"-?\d+", "float_type": r"-?\d+(\.\d+)?", "bool_type": "true|false"})
"""Values that would be right without the quotes around them, by the type of error."""
OTHER_VARIABLES = ("WORKER_ALIVE_FILE", "WORKER_BOOT_ID", "WORKER_WATCHDOG_SECONDS")
"""Variables of ours that are no settings (docs/operations.md)."""


class Sources(NamedTuple):
    """Where the settings come from."""

    file: str
    text: str
    origins: Mapping[Keys, str]
    """For each key that is given: the file's name, or the name of the variable."""

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """The error with a line for each problem."""
        lines = lines_of_keys(self.text)
        said = (
            f"{self._where(each, lines)}: {_shown(each.keys[0])}: "
            + each.text.replace(OTHER, self._other(each, lines))
            for each in problems
        )
        return ConfigError("\n".join(dict.fromkeys(map(one_line, said))))

    def _other(self, problem: Problem, lines: Mapping[Keys, int]) -> str:
        """Where the second key of a problem is, in brackets."""
        if len(problem.keys) < 2:  # noqa: PLR2004 (the second)
            return ""
        keys = problem.keys[1]
        given = {o for each, o in self.origins.items() if _begins(keys, each) or _begins(each, keys)}
        if self.file in given:
            return f" (line {line_of(keys, lines)})"
        return f" ({', '.join(sorted(given)) or 'default'})"

    def error_of(self, error: ValidationError, model: type[BaseModel]) -> ConfigError:
        """The error that says in our words what pydantic found."""
        return self.error(_problem(dict(each), model, self.origins) for each in error.errors())

    def _where(self, problem: Problem, lines: Mapping[Keys, int]) -> str:
        """File and line of the first key that the file gives, and every variable that gives one."""
        involved = {
            origin: keys
            for keys in reversed(problem.keys)
            for given, origin in self.origins.items()
            if _begins(keys, given) or (keys == problem.keys[0] and _begins(given, keys))
        }
        table = problem.keys[0][:-1]
        if not involved and table and table not in lines:  # variables make a table, and a key is missing
            involved = {origin: table for given, origin in self.origins.items() if _begins(given, table)}
        if involved and self.file not in involved:
            return ", ".join(sorted(involved))
        candidates = [involved.pop(self.file)] if involved else problem.keys
        line = next((line for keys in candidates if (line := line_of(keys, lines))), None)
        return ", ".join([f"{self.file}:{line}" if line else self.file, *sorted(involved)])


def _begins(keys: Keys, beginning: Keys) -> bool:
    return keys[: len(beginning)] == beginning


def _shown(keys: Keys) -> str:
    """A key as it is written in the file, without an element's index: the error shows the element."""
    names = [key for key in keys if not key.startswith("[")]
    return ".".join(key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key) for key in names)


def no_toml(file: str, text: str, reason: str) -> ConfigError:
    """The error for a file that is no TOML, from `tomllib`'s reason."""
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)", reason)
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    if twice := re.search(r"Cannot declare \((.+)\) twice", reason):
        keys = tuple(re.findall(r"'([^']*)'", twice[1]))
        above = "".join(text.splitlines(keepends=True)[: line - 1])
        first = lines_of_keys(above).get(keys)
        where = f"in line {first}" if first else "there"
        said = f"this table is {where} already; write each one once"
        return ConfigError(one_line(f"{file}:{line}: {'.'.join(keys)}: {said}"))
    what = reason[: place.start()] if place else reason
    what = TOML_REASONS.get(what, what[0].lower() + what[1:])
    column = f" (column {place[2]})" if place and place[2] else ""
    return ConfigError(one_line(f"{file}:{line}: is not valid TOML: {what}{column}"))


def _problem(error: dict[str, Any], model: type[BaseModel], origins: Mapping[Keys, str]) -> Problem:
    kind, context = error["type"], error.get("ctx", {})
    loc = [part for part in error["loc"] if part != "[key]"]  # pydantic's word for "the key, not its value"
    keys = tuple(f"[{part}]" if isinstance(part, int) else part for part in loc)
    above = _model_at(model, keys[:-1])
    is_unknown = kind == "model_type" and table_model(above) and keys[-1] not in above.model_fields
    if kind == "extra_forbidden" or is_unknown:
        allowed = list(above.model_fields)
        variable = origins.get(keys, "")
        close = did_you_mean(keys[-1], allowed)
        if variable.startswith(VARIABLE_PREFIX):
            close = close_variable(variable, model, {}) or close
        rest = f"{close} Allowed here" if close else "; allowed here"
        tables = ", and tables with names of your own" if is_unknown else ""
        return Problem((keys,), f"unknown key{rest}: {', '.join(allowed)}{tables}")
    if kind == "missing" and (close := _close_table(keys[:-1], origins)):
        return Problem((keys[:-1],), f"there is no {keys[-2]} in [{keys[-3]}]{close}")
    if kind == "value_error":
        text = str(context["error"])
        fields = _model_at(model, keys).model_fields
        named = [(*keys, word) for word in re.findall(r"\w+", text) if word in fields]
        if isinstance(error["input"], dict) and named:  # a rule between the keys that it names
            return Problem(tuple(named), text.removeprefix(f"{named[0][-1]} "))
    elif kind == "literal_error":
        text = f"must be {context['expected']}".replace("'", "")
        close = did_you_mean(error["input"], re.findall("'([^']*)'", context["expected"]))
        return Problem((keys,), f"{text}{_given(error, keys)}{close}")
    elif kind in TEXTS:
        text = TEXTS[kind].format(**context)
        if kind in QUOTED and re.fullmatch(QUOTED[kind], str(error["input"])):
            text += " without quotes"
    else:
        text = error["msg"][0].lower() + error["msg"][1:]
    return Problem((keys,), f"{text}{_given(error, keys)}")


def _close_table(table: Keys, origins: Mapping[Keys, str]) -> str:
    """`; did you mean evaluation?` for a table that only variables make, if its name is nearly another's."""
    given = [origin for keys, origin in origins.items() if _begins(keys, table)]
    if not table[1:] or not given or not all(origin.startswith(VARIABLE_PREFIX) for origin in given):
        return ""
    section, name = table[:2]
    return did_you_mean(name, {keys[1] for keys in origins if keys[0] == section and keys[2:]} - {name})


def _given(error: dict[str, Any], keys: Keys) -> str:
    """`, not "four"`: the wrong value as in the file, unless the error has it or it may be a secret."""
    value = error["input"]
    says_it = error["type"] == "value_error" and ", not " in error["msg"]
    if isinstance(value, dict) or error["type"] in NOTHING_TO_SHOW or says_it or keys[-1].endswith("_url"):
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f", not {text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + '…'}"


def close_variable(variable: str, model: type[BaseModel], tree: Mapping[str, Any]) -> str:
    """`; did you mean WORKER__FLOWER__PORT?` if a variable is nearly one of ours, or nothing."""
    ours = {re.sub("_+", "_", each): each for each in (*OTHER_VARIABLES, *_variables(model, tree))}
    close = get_close_matches(re.sub("_+", "_", variable.upper()), ours, n=1, cutoff=0.9)
    return f"; did you mean {ours[close[0]]}?" if close and ours[close[0]] != variable else ""


def _variables(model: type[BaseModel], tree: Any, above: str = VARIABLE_PREFIX) -> Iterator[str]:
    """The variable of every setting, also of the tables that are in the tree."""
    for name, field in model.model_fields.items():
        inner, value = inner_model(field), tree.get(name, {}) if isinstance(tree, dict) else {}
        variable = f"{above}{name.upper()}"
        if inner is None:
            yield variable
        elif not is_mapping(field):
            yield from _variables(inner, value, f"{variable}__")
        elif isinstance(value, dict):
            for key, table in value.items():
                yield from _variables(inner, table, f"{variable}__{variable_part(key)}__")
    if (inner := table_model(model)) and isinstance(tree, dict):
        for key in tree.keys() - model.model_fields.keys():
            yield from _variables(inner, tree[key], f"{above}{variable_part(key)}__")


def _model_at(model: type[BaseModel], keys: Keys) -> type[BaseModel]:
    """The model that a path of keys leads to; the nearest above it if the path leads to a value."""
    for key in keys:
        # The name of a queue or a schedule is no field: `model` is the one of its values already.
        field = model.model_fields.get(key)
        model = (inner_model(field) if field else table_model(model)) or model
    return model


def table_model(model: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the tables with names of your own that a section has besides its keys; mostly None."""
    extra = get_annotations(model).get("__pydantic_extra__")
    return extra.__args__[1] if extra else None


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section, or of each table in it; None for a plain value."""
    annotation: Any = field.annotation
    if is_mapping(field):
        annotation = annotation.__args__[1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def is_mapping(field: FieldInfo) -> bool:
    """Whether a field has tables or values by name."""
    return getattr(field.annotation, "__origin__", None) is dict
