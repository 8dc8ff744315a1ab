"""The group that every command line of ours is built on: errors in a line, help in whole sentences."""

import difflib
import inspect
from typing import Any

import click

from contentworker.cli.exit_codes import ExitCode
from contentworker.errors import ContentWorkerError, described
from contentworker.printable import lines

__all__ = ["PlainErrorsGroup"]

WHOLE = 1000
"""More characters than any summary has; click would cut it to one line."""


class PlainErrorsGroup(click.Group):
    """Prints errors of ours, of files and of usage in a line. No error can steer the terminal."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _in_one_line(error) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; an unknown one is told the names that are like it."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            similar = difflib.get_close_matches(name, self.list_commands(ctx))
            hint = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its error becomes one that click prints in a line."""
        try:
            return super().invoke(ctx)
        except ContentWorkerError as error:
            raise click.ClickException("\n".join(lines(error))) from None
        except click.UsageError as error:
            raise _in_one_line(error) from None
        except click.ClickException as error:  # may quote a task's error, or what a server answered
            vars(error)["message"] = "\n".join(lines(error.message))
            raise
        except BrokenPipeError:  # the reader has seen enough: click ends quietly
            raise
        except OSError as error:
            raise click.ClickException("\n".join(lines(described(error)))) from None
        except KeyboardInterrupt:
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a sentence for each command, none of them cut."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(WHOLE)) for name, each in commands if each and not each.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _in_one_line(error: click.UsageError) -> click.UsageError:
    """The same error without the usage above it: where to read more stands at its end."""
    if error.ctx is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    text = " ".join(" ".join(lines(inspect.cleandoc(error.format_message()))).split())
    end = "" if text.endswith((".", "?", "?)")) else "."
    return click.UsageError(f"{text}{end} For help: {error.ctx.command_path} --help")
