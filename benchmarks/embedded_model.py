"""What the embedded model generates for a second of CPU, and the memory that it takes.

    nox -s embedded-model && .venv/bin/python benchmarks/embedded_model.py [--json]

It rewrites the sentences of an example, one after another, several runs; the figures are medians. Without
the model's package it says so and measures nothing.
"""

import json
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.rewriting import embedded  # noqa: E402
from contentworker.editorial.rewriting.model import Model, ModelRefusesError  # noqa: E402
from contentworker.editorial.rewriting.prompts import messages  # noqa: E402
from contentworker.editorial.settings import ContentSettings, LlmSettings  # noqa: E402

RUNS = 3
SENTENCES = 8


def cpu_seconds(pid: int) -> float:
    """User's and system's time of a process, proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Its own memory: private pages, proc_pid_smaps(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


def main() -> None:
    """Start it, measure, stop it."""
    settings = LlmSettings()
    source = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    texts = [sentence.text for sentence in parse(source, settings=ContentSettings()).sentences][:SENTENCES]
    with tempfile.TemporaryDirectory() as folder:
        try:
            address = embedded.base_url(settings, Path(folder))
        except ModelRefusesError as error:
            print(f"not measured: {error}")
            return
        (pid,) = [child.pid for child in embedded._children]  # noqa: SLF001 (its process is what is measured)
        model, rates = Model(settings, address), []
        for _ in range(RUNS):
            before, tokens = cpu_seconds(pid), 0
            for text in texts:
                tokens += model.complete(messages("edit", text, small=True), 120).completion_tokens
            rates.append(tokens / (cpu_seconds(pid) - before))
        found = {"tokens_per_cpu_second": statistics.median(rates), "memory_bytes": memory_bytes(pid)}
        os.kill(pid, signal.SIGKILL)
    if "--json" in sys.argv[1:]:
        print(json.dumps(found))
    else:
        print(f"{found['tokens_per_cpu_second']:.0f} tokens for a second of CPU, median of {RUNS} runs")
        print(f"{found['memory_bytes'] / 1e6:.0f} MB of memory, the model's file among it")


if __name__ == "__main__":
    main()
