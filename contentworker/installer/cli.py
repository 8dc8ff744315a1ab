"""The commands that people type: install, upgrade, preflight, uninstall."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from contentworker import config
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.installer import layout as places
from contentworker.installer import machine, prepare, release, report
from contentworker.installer.errors import InstallError
from contentworker.installer.plan import Plan
from contentworker.installer.prepare import Options, Preparation

__all__ = ["main"]

AS_ROOT = str(Path(__file__).with_name("as_root.py"))
NOT_INSTALLED = "nothing is installed in {}. Type: nox -s install"


@click.group(cls=PlainErrorsGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Content Worker as systemd services."""
    ctx.obj = ctx.obj or Options(config.ROOT, os.environ)


_prefix = click.option("--prefix", help="The folder of the code, instead of services.prefix.")
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@main.command()
@_prefix
@_dry_run
@_yes
@click.option("--user", help="The account of the services, instead of services.user.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Place the files below this folder and start nothing: for a package or an image.",
)
def install(prefix: str | None, user: str | None, root: Path | None, dry_run: bool, yes: bool) -> None:
    """Install this checkout as services, and start them. Also continues what was interrupted."""
    options = _options(prefix, user, root)
    prepared = prepare.prepare(options)
    current = prepared.manifest.current if prepared.manifest else None
    if options.is_live and current and current != prepared.source.identity:
        raise InstallError(f"release {current} is installed. To switch to this checkout: nox -s upgrade")
    _bring(options, prepared, dry_run=dry_run, yes=yes)


@main.command()
@_prefix
@_dry_run
@_yes
@click.option("--rollback", is_flag=True, help="Go back to the previous release.")
def upgrade(prefix: str | None, dry_run: bool, yes: bool, rollback: bool) -> None:
    """Switch to this checkout, and serve every queue meanwhile. If it fails, the old release runs again."""
    options = _options(prefix)
    if rollback:
        _roll_back(options, dry_run=dry_run, yes=yes)
        return
    prepared = prepare.prepare(options)
    if prepared.manifest is None or not (prepared.manifest.current or prepared.manifest.pending):
        raise InstallError(NOT_INSTALLED.format(prepared.layout.prefix))
    _bring(options, prepared, dry_run=dry_run, yes=yes)


@main.command()
@_prefix
def preflight(prefix: str | None) -> None:
    """Check everything that install and upgrade check first. Build nothing, change nothing."""
    prepared = prepare.prepare(_options(prefix))
    _show(report.preflight(prepared))
    has_unit = prepared.layout.at(f"{places.UNITS}/{places.PREFLIGHT}").exists()  # older releases have none
    if prepared.manifest and prepared.manifest.current and has_unit:
        unit = places.preflight(prepared.manifest.current)
        if subprocess.run([*prepared.sudo, "systemctl", "start", unit], check=False).returncode:
            raise InstallError(f"the installed release would not start: journalctl --unit {unit}")
        click.echo(f"Release {prepared.manifest.current}, which is installed, can be loaded.")
    click.echo("Nothing is in the way.")


@main.command()
@_prefix
@_dry_run
@_yes
@click.option(
    "--data/--keep-data", "removes_data", default=None, help="Remove secrets, Redis' data and accounts, too."
)
def uninstall(prefix: str | None, dry_run: bool, yes: bool, removes_data: bool | None) -> None:
    """Remove what was installed, after running tasks have ended."""
    options = _options(prefix)
    settings, layout, manifest = prepare.installed(options)
    if manifest is None:
        raise InstallError(f"nothing is installed in {layout.prefix}")
    sudo = machine.sudo(options.environ)
    if removes_data is None and not yes and not dry_run and os.isatty(0):
        question = "Remove secrets, Redis' data and accounts as well?"
        removes_data = click.confirm(question, default=False)
    _show(report.before_removal(manifest, removes_data=bool(removes_data)))
    if dry_run or not _agreed(yes):
        return
    patience = prepare.patience_seconds(settings)
    plan = Plan("uninstall", str(layout.target), layout.prefix, manifest.user, patience_seconds=patience)
    _perform(replace(plan, removes_data=bool(removes_data)), sudo)
    click.echo("Uninstalled.")


def _options(prefix: str | None, user: str | None = None, root: Path | None = None) -> Options:
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0" and config.ROOT.stat().st_uid != 0:
        raise InstallError(
            "type this without sudo: it calls sudo where it needs root, and no file of the checkout may "
            "belong to root"
        )
    options: Options = replace(click.get_current_context().obj, prefix=prefix, user=user)
    return replace(options, target=root.absolute(), is_live=False) if root else options


def _bring(options: Options, prepared: Preparation, *, dry_run: bool, yes: bool) -> None:
    """Show the plan, ask, build, and have root apply it."""
    if prepared.is_done:
        _show(f"note: {warning}" for warning in prepared.warnings)
        click.echo(
            f"Release {prepared.source.identity} is installed already: nothing to do, nothing was changed."
        )
        return
    _show(report.before(prepared, options.environ.get("REDIS_URL")))
    if dry_run or not _agreed(yes):
        return
    since, cache, layout = time.monotonic(), options.checkout / ".nox" / "install", prepared.layout

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - since:5.0f} s  {text}")

    with release.locked(cache):
        machine.require_space(cache, prepared.needed_bytes)
        built = release.build(prepared.source, cache, layout.at(f"{layout.prefix}/releases"), say)
        say(f"placing it in {layout.at(layout.prefix)}" + (", with sudo" if prepared.sudo else ""))
        _perform(prepared.plan(options, built), prepared.sudo)
        release.clear(cache)
        say("done")
    if options.is_live:
        _show(report.after(prepared))
    else:
        click.echo(f"Release {prepared.source.identity} is staged in {options.target}; nothing was started.")


def _roll_back(options: Options, *, dry_run: bool, yes: bool) -> None:
    """Go back to the previous release; after an interrupted upgrade, to the release before that upgrade."""
    settings, layout, manifest = prepare.installed(options)
    if manifest is None:
        raise InstallError(NOT_INSTALLED.format(layout.prefix))
    to = manifest.current if manifest.pending else manifest.previous
    if to is None:
        raise InstallError("there is no release before this one")
    if not layout.at(layout.release(to)).is_dir():
        raise InstallError(f"{layout.release(to)} is gone; check out that version, and type: nox -s upgrade")
    sudo = machine.sudo(options.environ)
    click.echo(f"From release {manifest.pending or manifest.current} back to {to}, queue by queue.")
    if dry_run or not _agreed(yes):
        return
    patience = prepare.patience_seconds(settings)
    plan = Plan("install", str(layout.target), layout.prefix, manifest.user, patience_seconds=patience)
    _perform(replace(plan, release=to, is_gapless=settings.services.gapless_upgrades), sudo)
    click.echo(f"Release {to} runs.")


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    if not os.isatty(0):
        raise InstallError(
            "there is no terminal to ask on: --yes does it without asking, --dry-run only shows the plan"
        )
    return click.confirm("Go on?", default=False)


def _perform(plan: Plan, sudo: list[str]) -> None:
    """Have root apply a plan. A staged tree needs no root."""
    command = [*sudo, sys.executable, "-I", "-B", AS_ROOT]
    code = subprocess.run(command, input=plan.text(), text=True, check=False).returncode
    if code not in (0, 1):
        raise InstallError(
            f"root's part was killed (exit code {code}); type the same command again to continue"
        )
    if code:
        sys.exit(code)  # it has printed why
