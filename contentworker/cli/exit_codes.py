"""The exit codes of every command; docs/commands.md shows the same table."""

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """How a command ended. Click itself uses 1 and 2, a shell 130."""

    DONE = 0
    """It did what you asked for. An empty list is no error."""
    FAILED = 1
    """It could not, and a line says why: unknown id, wrong setting, failed task, busy queue."""
    USAGE = 2
    """The command line is wrong; nothing was done."""
    NO_REDIS = 3
    """Redis cannot be reached, refuses this user, or is another checkout's."""
    DOWN = 4
    """`health` only: no worker serves a queue, or none of its workers answers."""
    INTERRUPTED = 130
    """You pressed Ctrl-C."""
