"""Old names of modules that moved in 0.2.0: they still work, and a FutureWarning names the new one.

Your code, a unit or a container may use them. Delete this module with the release after 0.2.0.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

__all__ = ["RENAMED", "install", "names_from"]

MOVED = {
    "development": ("autoreload", "file_changes", "local_redis"),
    "health": ("liveness", "pulse", "systemd_notify"),
    "logs": ("error_reports", "journal", "otel", "outages", "traces"),
    "records": (
        *("connections", "dead_letters", "queue_state", "runs"),
        *("single_host", "snapshot", "spending"),
    ),
    "watching": ("observer", "overview"),
    "worker": (
        *("admission", "application", "arguments", "beat", "claims", "command_line", "consumer"),
        *("final_failures", "pool_children", "results", "retry", "routing", "schedules"),
    ),
}
"""Modules of `contentworker.runtime` that moved into a package and kept their name, by package."""

RENAMED = {
    "editorial.aeo.background": "editorial.aeo.terms",
    "editorial.rewriting.wordlists": "editorial.rewriting.guard",
    **{f"runtime.{name}": f"runtime.{room}.{name}" for room, names in MOVED.items() for name in names},
    "content_metrics": "articles.metrics",
    "articles_cli": "cli.articles",
    "backup_cli": "cli.backup",
    "dead_letters_cli": "cli.dead_letters",
    "plain_errors": "cli.errors",
    "escalations_cli": "cli.escalations",
    "health_cli": "cli.health_server",
    "metrics_cli": "cli.metrics",
    "top_cli": "cli.top",
    "top_page": "cli.top_page",
    "doctor.finding": "doctor.ask",
    "architecture": "generate.architecture",
    "config_page": "generate.configuration_page",
    "devcontainer": "generate.devcontainer",
    "installer.accounts": "installer.machine",
    "installer.first_boot": "installer.credentials",
    "installer.look": "installer.machine",
    "installer.pythons": "installer.machine",
    "installer.redis_look": "installer.checks",
    "runtime.metrics.pages": "generate.metrics_pages",
    "runtime.units": "generate.units",
    "runtime.shared_answer": "runtime.answering",
    "runtime.small_server": "runtime.answering",
    "runtime.state": "runtime.environment",
    "runtime.credentials": "runtime.environment",
    "runtime.health_server": "runtime.health.server",
    "runtime.log_context": "runtime.logs.context",
    "runtime.flower_page": "runtime.watching.flower",
    "runtime.leases": "runtime.worker.request",
    "runtime.metrics.requests": "runtime.worker.request",
}
"""New names by old names, both without `contentworker.`."""


class _Loader(InspectLoader):
    def __init__(self, new: str) -> None:
        self._new = new

    def exec_module(self, module: ModuleType) -> None:
        """Let the old name mean the new module itself; a copy would have state of its own."""
        sys.modules[module.__name__] = importlib.import_module(self._new)

    def get_code(self, fullname: str) -> CodeType | None:
        """The code that `python -m` runs for the old name."""
        spec = find_spec(self._new)
        loader = spec.loader if spec else None
        return loader.get_code(self._new) if isinstance(loader, InspectLoader) else None

    def get_source(self, fullname: str) -> str | None:
        return None


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = fullname.partition(".")
        if package != "contentworker" or old not in RENAMED:
            return None
        new = f"contentworker.{RENAMED[old]}"
        _warn(fullname, new)
        return ModuleSpec(fullname, _Loader(new))


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name works until the next release", FutureWarning, 3)


def names_from(package: str, module: str) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package that was a module, and whose names are in `module` now."""

    def get(name: str) -> Any:
        new = f"{package}.{module}"
        # Not for `from package import submodule`, which asks here first.
        if name.startswith("__") or name not in importlib.import_module(new).__all__:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        _warn(f"{package}.{name}", f"{new}.{name}")
        return getattr(importlib.import_module(new), name)

    return get


def install() -> None:
    """Let Python find modules by their old names too."""
    sys.meta_path.append(_Finder())
