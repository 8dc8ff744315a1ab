"""What every command line of ours does with our own errors."""

from typing import Any

import click

from contentworker.errors import ContentWorkerError

__all__ = ["PlainErrorsGroup"]


class PlainErrorsGroup(click.Group):
    """Says our own errors in a line, where Python would print a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ContentWorkerError as error:
            raise click.ClickException(str(error)) from None
