"""`nox -s adopt -- NAME FOLDER` and `nox -s adopt -- --update FOLDER`: the command line."""

import argparse
import signal
import sys
from pathlib import Path

from adoption import repository
from adoption.errors import AdoptionError

HERE = Path(__file__).resolve().parent.parent
WRONG = 1
"""Exit code: it could not be made, or git needs your hand. A command typed wrongly ends with argparse's 2."""


def main() -> int:
    """Do what was typed; say in one line why not."""
    parser = argparse.ArgumentParser(
        prog="nox -s adopt --", description="Make a repository of your own from this checkout, or update it."
    )
    parser.add_argument("--from", dest="typed_in", type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument(
        "--update", metavar="FOLDER", type=Path, help="merge this version into an adopted repository"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the new package, such as news_desk")
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", type=Path, help="a folder to make, or an empty one"
    )
    options = parser.parse_args()
    if (options.folder is None) == (options.update is None) or (options.update and options.name):
        parser.error("type NAME FOLDER to adopt, or --update FOLDER to update")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that nothing half-made stays
    try:
        if options.update:
            return repository.update(HERE, options.typed_in / options.update)
        repository.adopt(HERE, options.name, options.typed_in / options.folder)
    except AdoptionError as error:
        print(f"adopt: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("adopt: interrupted; nothing was made or changed", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
