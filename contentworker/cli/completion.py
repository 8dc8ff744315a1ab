"""`content-worker completion`: have a shell complete commands and options on Tab."""

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]

NAME = "content-worker"
VARIABLE = "_CONTENT_WORKER_COMPLETE"
"""The variable by which click knows that a shell asks for completions; it makes it from the name."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands, options, queues and tasks in your shell.

    \b
    bash (~/.bashrc):         eval "$(content-worker completion bash)"
    zsh (~/.zshrc):           eval "$(content-worker completion zsh)"
    fish (in config.fish):    content-worker completion fish | source
    """  # noqa: D301 (click's sign for lines that stay as they are)
    script = get_completion_class(shell)
    if script is None:
        raise click.ClickException(f"this version of click has no completion for {shell}")
    click.echo(script(click.get_current_context().find_root().command, {}, NAME, VARIABLE).source())
