"""Publish calls in a process of its own: MODULE TASK COUNT ARGUMENT (`now`: the monotonic clock in ns)."""

import argparse
import importlib
import random
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("task")
    parser.add_argument("count", type=int)
    parser.add_argument("argument")
    parser.add_argument("--countdown", type=float)
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="mean pause between two calls")
    options = parser.parse_args()
    send = importlib.import_module(options.module).send
    pauses = random.Random(1)
    for _ in range(options.count):
        # Uneven, so as not to keep step with what the worker does at intervals.
        time.sleep(options.pause_seconds * pauses.uniform(0.5, 1.5))
        argument = time.monotonic_ns() if options.argument == "now" else int(options.argument)
        send(options.task, argument, countdown=options.countdown)


if __name__ == "__main__":
    main()
