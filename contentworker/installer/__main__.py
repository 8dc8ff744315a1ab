"""`python -m contentworker.installer install|upgrade|uninstall`."""

from contentworker.installer.cli import main

if __name__ == "__main__":
    main(prog_name="nox -s")
