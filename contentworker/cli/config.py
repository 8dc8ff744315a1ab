"""`content-worker config`: show the configuration, and write the files generated from it."""

import json
import os
from pathlib import Path

import click

from contentworker import config
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.generate import files

__all__ = ["group"]


@click.group("config", cls=PlainErrorsGroup)
def group() -> None:
    """The configuration: worker.toml and the environment."""


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of lines.")
def show(as_json: bool) -> None:
    """Print every setting, its value and where the value comes from."""
    values = list(config.describe())
    if as_json:
        click.echo(json.dumps({item.key: {"value": item.value, "origin": item.origin} for item in values}))
        return
    width = max(len(item.key) for item in values)
    for item in values:
        click.echo(f"{item.key:<{width}}  {json.dumps(item.value)}  ({item.origin})")


@group.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is out of date.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write only the files of systemd/, into this folder, with the overrides of the environment.",
)
def document(check: bool, output: Path | None) -> None:
    """Write the generated files: docs/configuration.md, .devcontainer/, systemd/, the dashboard and others.

    \b
    Everything, in this checkout:   config document
    A machine's units, elsewhere:   config document --output /tmp/units
    """  # noqa: D301 (click's sign for lines that stay as they are)
    wanted = files.units_in(output) if output else files.render(config.ROOT)
    outdated = files.outdated(output or config.ROOT / "systemd", wanted)
    if check and outdated:
        name = os.path.relpath(outdated[0], config.ROOT)
        raise click.ClickException(f"{name} is out of date: run `nox -s generate`")
    for file in outdated:
        if file in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[file], encoding="utf-8")
            click.echo(os.path.relpath(file))
        else:
            file.unlink()
            click.echo(f"{os.path.relpath(file)}: removed")
