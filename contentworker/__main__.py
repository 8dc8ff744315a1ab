"""`python -m contentworker …`: the commands of this project."""

import os
import sys

if __name__ == "__main__":
    try:
        from contentworker.cli.main import main

        # An installation's `content-worker` sets the variable, so that errors name what was typed.
        main(prog_name=os.environ.get("CONTENT_WORKER_COMMAND", "python -m contentworker"))
    except KeyboardInterrupt:  # Ctrl-C during an import, or while a shell asks for completions
        sys.exit(130)
