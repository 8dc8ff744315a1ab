"""docs/tasks.md, as people copy from it."""

import re
import subprocess
import sys

from tests.acceptance.pages import commands_of
from tests.support import ROOT, StartWorker, environment, run_cli


def test_tasks_page_commands_run(worker: StartWorker, redis_url: str) -> None:
    """What docs/tasks.md shows, from Python and from a shell, runs and prints a score."""
    worker("--queues=evaluation")
    page = (ROOT / "docs" / "tasks.md").read_text("utf-8")
    script = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    script = script.replace("redis://127.0.0.1:6379/0", redis_url)
    env = environment(REDIS_URL=redis_url)
    printed = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, cwd="/"
    )
    assert 0 <= float(printed.stdout) <= 100
    (command,) = commands_of("tasks.md")
    printed = run_cli(*command.removeprefix("content-worker ").split(), redis_url=redis_url)
    assert '"score"' in printed.stdout, printed.stderr
