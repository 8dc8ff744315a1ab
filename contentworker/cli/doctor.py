"""`content-worker doctor`."""

import sys

import click

from contentworker import doctor
from contentworker.cli.connection import json_option

__all__ = ["command"]


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Say what is missing or wrong on this machine, and how to fix it.

    Exit code 0: nothing needs fixing. 1: something is wrong.
    """
    sys.exit(doctor.report(as_json=as_json))
