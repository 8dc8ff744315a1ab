"""What a worker does that the reloader has forked: load the project, and be a Celery worker."""

import argparse
import importlib
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

from contentworker.runtime.development.children import Report

__all__ = ["EXIT_BROKEN", "serve"]

EXIT_BROKEN = os.EX_DATAERR
"""Exit code of a worker that could not load its code or configuration; it has printed the reason."""


def serve(
    arguments: argparse.Namespace, root: Path, changed: list[str], report: Report, *, is_quiet: bool
) -> int:
    """Load the project, serve until told to stop, and return the exit code.

    Reports `broken`, with the file of the error, if the project cannot be loaded. Otherwise `loaded` for each
    third-party module that the next worker should find loaded, then `ready`; and `stopping`, with the number
    of tasks that still run.
    """
    known = set(sys.modules)
    for name in [name for name in known if name.partition(".")[0] == "contentworker"]:
        del sys.modules[name]  # the reloader's, of older code
    try:
        for path in changed:  # the application may load some of them only when a task runs
            if path.endswith(".py") and (root / path).exists():
                _compile(path, (root / path).read_bytes())
        from contentworker.runtime.worker import command_line, pool_children

        pool_children.die_with_parent(signal.SIGTERM)
        module, _, name = arguments.app.rpartition(".")
        app = getattr(importlib.import_module(module), name)
        app.enter_development()
        options = [
            *command_line.worker_options(app.runtime_settings, arguments.queue),
            "--loglevel=info",
            f"--hostname=celery-{os.getpid()}@%h",
            *arguments.options,
        ]
    except BaseException as error:  # noqa: BLE001 (code being edited may raise anything, SystemExit too)
        _explain(error)
        report("broken", _file_of(error, root))
        return EXIT_BROKEN

    import click
    from celery import platforms, signals
    from celery.worker import state

    if is_quiet:  # an earlier worker has printed it
        warnings.simplefilter("ignore", platforms.SecurityWarning)

    @signals.worker_ready.connect(weak=False)
    def ready(**_: object) -> None:
        for name in _third_party(known, root):
            report("loaded", name)
        report("ready", "")

    @signals.worker_shutting_down.connect(weak=False)
    def stopping(**_: object) -> None:
        report("stopping", len(state.active_requests))

    try:
        app.worker_main([*(["--quiet"] if is_quiet else []), "worker", *options])
    except click.ClickException as error:
        error.show()
        return os.EX_USAGE
    return 0


def _third_party(known: set[str], root: Path) -> list[str]:
    """Modules that were loaded since and are not the project's, in the order in which they were loaded."""
    names = []
    for name in [name for name in sys.modules if name not in known]:
        origin = getattr(getattr(sys.modules[name], "__spec__", None), "origin", None)
        path = Path(origin or root)
        # A virtual environment may lie in the project.
        if not path.is_relative_to(root) or "site-packages" in path.relative_to(root).parts:
            names.append(name)
    return names


def _compile(path: str, source: bytes) -> None:
    try:
        compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        error.filename = error.filename or path  # Python leaves it out for a null byte
        raise


def _file_of(error: BaseException, root: Path) -> str:
    """The project's file that an error is in, relative to the root; empty if the error does not tell."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append(error.filename or "")
    if isinstance(error, SystemExit) or type(error).__module__ == "contentworker.errors":
        return ""  # a setting is wrong, and not the code that says so
    own = [name for name in frames if _is_own(root / name, root) and name != __file__]
    return (root / own[-1]).relative_to(root).as_posix() if own else ""


def _is_own(path: Path, root: Path) -> bool:
    # A virtual environment may lie in the project.
    return (
        path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts and path.is_file()
    )


def _explain(error: BaseException) -> None:
    """Print why the project cannot be loaded: one line for our own errors, else our part of the traceback."""
    errors = sys.modules.get("contentworker.errors")
    if isinstance(error, SystemExit) or (errors and isinstance(error, errors.ContentWorkerError)):
        print(error, file=sys.stderr, flush=True)
        return
    summary = traceback.TracebackException.from_exception(error)
    ours = [
        frame for frame in summary.stack if "importlib" not in frame.filename and frame.filename != __file__
    ]
    summary.stack = traceback.StackSummary.from_list(ours)
    print("".join(summary.format()), end="", file=sys.stderr, flush=True)
