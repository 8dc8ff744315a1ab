"""The commands that people type: install, upgrade, uninstall."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from contentworker import config
from contentworker.installer import look as machine
from contentworker.installer import prepare, release, report
from contentworker.installer.errors import InstallError
from contentworker.installer.plan import Plan
from contentworker.installer.prepare import Options, Preparation
from contentworker.plain_errors import PlainErrorsGroup

__all__ = ["main"]

AS_ROOT = str(Path(__file__).with_name("as_root.py"))
NOT_INSTALLED = "nothing is installed in {prefix}. Type: nox -s install"


class _Group(PlainErrorsGroup):
    """Says also those of the file system in a line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Content Worker as services of systemd."""
    ctx.obj = ctx.obj or Options(config.ROOT, os.environ)


def _common(command: Any) -> Any:
    for option in (
        click.option("--prefix", help="The folder of the code, instead of services.prefix."),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    ):
        command = option(command)
    return command


def _staged(command: Any) -> Any:
    for option in (
        click.option("--user", help="The account of the services, instead of services.user."),
        click.option(
            "--root",
            type=click.Path(path_type=Path, file_okay=False),
            help="Place the files below this folder, and start nothing: for a package, an image.",
        ),
    ):
        command = option(command)
    return command


@main.command()
@_common
@_staged
def install(prefix: str | None, user: str | None, root: Path | None, dry_run: bool, yes: bool) -> None:
    """Install this checkout as services, and start them. What was interrupted goes on."""
    options = _options(prefix, user, root)
    found = prepare.prepare(options)
    current = found.manifest.current if found.manifest else None
    if options.is_live and current and current != found.identity:
        raise InstallError(f"release {current} is installed. To switch to this checkout: nox -s upgrade")
    _bring(options, found, dry_run=dry_run, yes=yes)


@main.command()
@_common
@click.option("--rollback", is_flag=True, help="Back to the release before.")
def upgrade(prefix: str | None, dry_run: bool, yes: bool, rollback: bool) -> None:
    """Switch to this checkout, queue by queue, with no task lost; back if it does not become ready."""
    options = _options(prefix, None, None)
    if rollback:
        _roll_back(options, dry_run=dry_run, yes=yes)
        return
    found = prepare.prepare(options)
    if found.manifest is None or not (found.manifest.current or found.manifest.pending):
        raise InstallError(NOT_INSTALLED.format(prefix=found.layout.prefix))
    _bring(options, found, dry_run=dry_run, yes=yes)


@main.command()
@_common
@click.option(
    "--data/--keep-data", "removes_data", default=None, help="Remove secrets, Redis' data and accounts, too."
)
def uninstall(prefix: str | None, dry_run: bool, yes: bool, removes_data: bool | None) -> None:
    """Remove what was installed, when running tasks have ended."""
    options = _options(prefix, None, None)
    settings, layout, manifest = prepare.installed(options)
    if manifest is None:
        raise InstallError(f"nothing is installed in {layout.prefix}")
    sudo = machine.sudo(options.environ, has_terminal=os.isatty(0))
    if removes_data is None and not yes and not dry_run and os.isatty(0):
        question = "Remove secrets, Redis' data and accounts as well?"
        removes_data = click.confirm(question, default=False)
    _show(report.before_removal(manifest, removes_data=bool(removes_data)))
    if dry_run or not _agreed(yes):
        return
    plan = Plan(
        "uninstall",
        str(layout.target),
        layout.prefix,
        manifest.user,
        removes_data=bool(removes_data),
        patience_seconds=prepare.patience_seconds(settings),
    )
    _perform(plan, sudo)
    click.echo("Uninstalled.")


def _options(prefix: str | None, user: str | None, root: Path | None) -> Options:
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0" and config.ROOT.stat().st_uid != 0:
        raise InstallError("without sudo, please: what needs root calls it, and nothing here is to be root's")
    options: Options = replace(click.get_current_context().obj, prefix=prefix, user=user)
    return replace(options, target=root.absolute(), is_live=False) if root else options


def _bring(options: Options, found: Preparation, *, dry_run: bool, yes: bool) -> None:
    """Show the plan, ask, build, and have it done."""
    if found.is_done:
        for warning in found.warnings:
            click.echo(f"note: {warning}")
        click.echo(f"Release {found.identity} is installed already: nothing to do, nothing was changed.")
        return
    _show(report.before(found, options.environ.get("REDIS_URL")))
    if dry_run or not _agreed(yes):
        return
    cache = options.checkout / ".nox" / "install"
    with release.locked(cache):
        machine.free_bytes(cache, found.needed_bytes)
        built = release.build(found.source, cache)
        _perform(found.plan(options, built.folder), found.sudo)
    if options.is_live:
        _show(report.after(found))
    else:
        click.echo(f"Release {found.identity} is staged in {options.target}; nothing was started.")


def _roll_back(options: Options, *, dry_run: bool, yes: bool) -> None:
    """Go back to the release before; of an interrupted upgrade, to that which it began with."""
    settings, layout, manifest = prepare.installed(options)
    if manifest is None:
        raise InstallError(NOT_INSTALLED.format(prefix=layout.prefix))
    to = manifest.current if manifest.pending else manifest.previous
    if to is None:
        raise InstallError("there is no release before this one")
    if not layout.at(layout.release(to)).is_dir():
        raise InstallError(f"{layout.release(to)} is no more; check out that version, and: nox -s upgrade")
    sudo = machine.sudo(options.environ, has_terminal=os.isatty(0))
    click.echo(f"From release {manifest.pending or manifest.current} back to {to}, queue by queue.")
    if dry_run or not _agreed(yes):
        return
    plan = Plan(
        "install",
        str(layout.target),
        layout.prefix,
        manifest.user,
        release=to,
        redis_port=settings.broker.port,
        flower_address=(settings.flower.address, settings.flower.port),
        patience_seconds=prepare.patience_seconds(settings),
    )
    _perform(plan, sudo)
    click.echo(f"Release {to} runs.")


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    if not os.isatty(0):
        raise InstallError(
            "there is no terminal to ask on: --yes does it without asking, --dry-run only says"
        )
    return click.confirm("Go on?", default=False)


def _perform(plan: Plan, sudo: list[str]) -> None:
    """Have root do it; for a staging nobody needs to be root."""
    command = [*sudo, sys.executable, "-I", "-B", AS_ROOT]
    code = subprocess.run(command, input=plan.text(), text=True, check=False).returncode
    if code not in (0, 1):
        raise InstallError(f"root's part was killed (exit code {code}); type the same again, and it goes on")
    if code:
        sys.exit(code)  # it has said why
