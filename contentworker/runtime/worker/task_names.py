"""Reads the names of the tasks in `tasks/` from the source: an import would load everything they use."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["CELERYS_OWN", "TaskNames", "read"]

CELERYS_OWN = "celery."
"""Prefix of Celery's own tasks."""


class TaskNames(NamedTuple):
    """The names of tasks."""

    names: frozenset[str]
    """There may be more names than tasks: each decorated function might be a task."""
    is_complete: bool
    """Whether all tasks are in `names`. Not if a file cannot be read, or a name is computed."""

    def lacks(self, name: str) -> bool:
        """Whether there is certainly no such task."""
        return self.is_complete and name not in self.names and not name.startswith(CELERYS_OWN)


def read(folder: Path) -> TaskNames:
    """Read all names that tasks in a package's modules may have. Nothing is imported.

    A task is a function with a decorator, or the result of a call: its name is `tasks.MODULE.NAME`. The text
    after `name=` in a call, or in a class, is a name, too.
    """
    names: set[str] = set()
    is_complete = folder.is_dir()
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):  # the worker, which imports it, says what is wrong
            is_complete = False
            continue
        for name in _names(tree, module):
            names.add(name or "")
            is_complete = is_complete and name is not None
    return TaskNames(frozenset(names - {""}), is_complete)


def _names(tree: ast.Module, module: str) -> Iterator[str | None]:
    """Each name that a task may have; None for a name that is computed."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.decorator_list and not any(map(_is_named, statement.decorator_list)):
                yield f"{module}.{statement.name}"
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (f"{module}.{each.id}" for each in targets if isinstance(each, ast.Name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in ("shared_task", "task"):
            yield from (_text(each.value) for each in node.keywords if each.arg == "name")
        elif isinstance(node, ast.ClassDef):
            yield from (
                _text(each.value)
                for each in node.body
                if isinstance(each, ast.Assign)
                and [_last_name(target) for target in each.targets] == ["name"]
            )


def _is_named(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(each.arg == "name" for each in decorator.keywords)


def _last_name(node: ast.expr) -> str:
    """`task` in `app.task` and in `task`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    # f"{__name__}.{function.__name__}" is the name by default: among those of functions and variables.
    return "" if ast.unparse(node).startswith(("f'{__name__}.", 'f"{__name__}.')) else None
