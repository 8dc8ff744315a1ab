"""`demo -- --kill` shows what it says it shows."""

import subprocess
import sys

from tests.support import PATIENCE, ROOT, environment


def test_killed_workers_task_is_finished_by_another(redis_url: str) -> None:
    """One of two workers is killed in the middle of a task; the other one starts it again and ends it.

    It does not use the Redis of this checkout: other tests, which run at the same time, expect none.
    """
    shown = subprocess.run(
        [sys.executable, "-m", "contentworker", "with-redis", sys.executable, "examples/demo.py", "--kill"],
        cwd=ROOT,
        env=environment(COLUMNS="120", REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    [kill] = [line for line in shown.stdout.splitlines() if line.startswith("kill -9")]
    killed = kill.split()[2].rstrip(",")
    other = ({"one@demo", "two@demo"} - {killed}).pop()
    assert f"{other} starts it again" in shown.stdout
    assert f"Done: counted to 5 on {other}" in shown.stdout
