"""Forked processes and their reports, in a process of its own: pytest has threads, which must not fork."""

import subprocess
import sys

from tests.support import PATIENCE, ROOT

REPORT_AND_END = """
import os, signal, sys
from contentworker.runtime.development.children import Children

children = Children()

def become(report):
    report("said", "one two")
    report("said", "\\udcff")
    assert os.getpgid(0) == os.getpid()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert sys.stdin.fileno() == 0 and not os.read(0, 1)
    return 3

pid = children.fork(become)
events = []
while not events or events[-1][1] != "ended":
    events += [event for event in children.events(None) if event[1:] != ("signal", str(int(signal.SIGCHLD)))]
assert events == [(pid, "said", "one two"), (pid, "said", "\\udcff"), (pid, "ended", "3")], events
children.send(pid, signal.SIGKILL)  # its number may be another process's by now

os.kill(os.getpid(), signal.SIGHUP)
assert [event for event in children.events(0) if event[0] == 0] == [(0, "signal", str(int(signal.SIGHUP)))]

pid = children.fork(lambda report: signal.pause())
children.send(pid, signal.SIGKILL)
while (pid, "ended", "-9") not in children.events(None):
    pass
assert not list(children.events(0))
print("all is well")
"""


def test_reports_come_before_the_end() -> None:
    """A child's reports come in their order and before its end; signals have default handlers in it."""
    command = [sys.executable, "-c", REPORT_AND_END]
    finished = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "all is well\n", "")
