"""`content-worker desk …`: the web application for editors."""

import getpass
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contentworker import config
from contentworker.articles.announcing import ask_to_announce
from contentworker.cli import connection
from contentworker.cli.connection import json_option
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.opening import (
    file_that_is_read_only,
    missing_file,
    open_engine_of,
)
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.settings import EscalationSettings
from contentworker.errors import ConfigError
from contentworker.printable import json_text
from contentworker.runtime import environment
from contentworker.runtime.logs import lines as logs

if TYPE_CHECKING:
    from contentworker.desk.tokens import Tokens

__all__ = ["group"]

DEMO = "demo"
DEMO_ROLES = ("editor", "operator", "articles")
SHORTEST_PASSWORD = 12


@click.group("desk", cls=PlainErrorsGroup)
def group() -> None:
    """The desk, where people answer escalations in the browser."""


@group.command()
@connection.listen_options
@click.option("--demo", is_flag=True, help="On this machine only: with a user `demo`, beside DESK_PASSWORDS.")
def serve(address: str | None, port: int | None, demo: bool) -> None:
    """Serve the desk until Ctrl-C. DESK_PASSWORDS holds who may sign in."""
    try:
        from contentworker.desk import application, passwords
        from contentworker.desk.machinery import Machinery
        from contentworker.desk.sessions import Sessions
        from contentworker.desk.tokens import Tokens
        from contentworker.desk.ways_in import ways_in
        from contentworker.desk.web import Desk
        from contentworker.runtime.worker.reloading import ScheduleFile
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: install the dependency group `desk`") from None
    settings = config.load()
    logs.set_up(settings.logs)
    with connection.listening(settings.desk, address, port) as listening:
        origins = application.origins(settings.desk.public_url, listening)
        environ = dict(os.environ)
        shown = f"The desk: {origins[0]}"
        if demo:
            if not listening.is_loopback:
                raise ConfigError("--demo: only with a loopback address")
            made = secrets.token_urlsafe(9)
            line = passwords.account_line(DEMO, DEMO_ROLES, made)
            environ["DESK_PASSWORDS"] = f"{environ.get('DESK_PASSWORDS', '')}\n{line}"
            shown += f"  user: {DEMO}  password: {made}"
        ways = ways_in(settings.desk, listening, environ, origins[0])
        if (read_only := file_that_is_read_only(*_place())) is not None:
            raise ConfigError(f"{read_only}: the desk cannot write there; docs/desk.md says how to move it")
        engine = open_engine_of(*_place())
        store = Store(engine)
        is_empty = store.open_count() == 0  # the tables are there, or it does not start
        if is_empty and demo:
            shown += f"\nNo article waits for a person yet. To make one: {environment.session('demo')}"
        sessions = Sessions(engine)
        sessions.provider_sha256 = ways.provider_sha256
        app = connection.impatient_application()
        app.schedule_file = ScheduleFile(config.file(), lambda: config.load(environ=os.environ))
        audit, pace = Audit(engine), settings.desk.letters_per_second
        machinery = Machinery(app, connection.impatient_client, settings, pace, audit)
        desk = Desk(
            store,
            sessions,
            Tokens(engine),
            audit,
            ways.accounts,
            settings,
            machinery,
            partial(ask_to_announce, app),
            origins,
            provider=ways.provider,
            link_secret=ways.link_secret,
        )
        listener = application.listen(listening)
    click.echo(shown)
    with machinery:
        application.serve(desk, listener)
    engine.dispose()


@group.command()
def check() -> None:
    """Check the desk's settings and secrets, without starting it."""
    from contentworker.desk.ways_in import ways_in

    settings = config.load().desk
    click.echo(ways_in(settings, settings, os.environ, settings.public_url))


@group.command()
@click.option(
    "--role", "roles", multiple=True, default=("editor",), show_default=True, help="Repeat for more."
)
@click.argument("name")
def password(name: str, roles: tuple[str, ...]) -> None:
    """Ask for a password; print the line for DESK_PASSWORDS."""
    from contentworker.desk import passwords
    from contentworker.desk.people import ROLES, known_roles

    if not re.fullmatch(passwords.NAME, name):
        raise click.BadParameter("NAME: must be letters, digits and ._@-, at most 100")
    if not known_roles(roles):
        raise click.BadParameter(f"--role: must be one of {', '.join(ROLES)}")
    typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(typed) < SHORTEST_PASSWORD:
        raise click.ClickException(f"at least {SHORTEST_PASSWORD} characters")
    click.echo(passwords.account_line(name, roles, typed))


@group.command()
@click.option("--role", "roles", multiple=True, help="What the program may do. Repeat for more.")
@click.option("--revoke", is_flag=True, help="Remove the token instead.")
@click.argument("name")
def token(name: str, roles: tuple[str, ...], revoke: bool) -> None:
    """Print a token with which a program uses the JSON API. Nothing shows it again."""
    if revoke == bool(roles):
        raise click.UsageError("give either --role or --revoke")
    with _tokens() as (tokens, audit):
        if not revoke:
            made = tokens.create(name, roles)
            audit.write("token.create", _os_user(), "command", subject=name, filter={"roles": roles})
            click.echo(made)
        elif tokens.revoke(name):
            audit.write("token.revoke", _os_user(), "command", subject=name)
            click.echo(f"{name}: revoked")
        else:
            raise click.ClickException(f"{name}: there is no such token")


@group.command("tokens")
@json_option
def list_tokens(*, as_json: bool) -> None:
    """List the tokens: name, roles, when it was made, and when it was used last."""
    known = []
    if not missing_file(*_place()):
        with _tokens() as (tokens, _):
            known = tokens.every()
    for each in known:
        used = f"{each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never"
        roles = ",".join(sorted(each.roles))
        if as_json:
            click.echo(json_text({**each._asdict(), "roles": sorted(each.roles)}))
            continue
        click.echo(f"{each.name}  {roles}  made {each.created_at:%Y-%m-%d %H:%M}  used {used}")
    if not known and not as_json:
        click.echo("No tokens.")


def _place() -> tuple[EscalationSettings, Path]:
    """Where the records are."""
    return config.load().escalations, environment.folder(config.ROOT)


@contextmanager
def _tokens() -> Iterator[tuple["Tokens", Audit]]:
    from contentworker.desk.tokens import Tokens

    if missing := missing_file(*_place()):
        raise click.ClickException(f"{missing}: does not exist yet: start the desk first")
    engine = open_engine_of(*_place())
    try:
        yield Tokens(engine), Audit(engine)
    finally:
        engine.dispose()


def _os_user() -> str:
    """Who typed the command, for the trail."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # the machine does not know its name
        return "unknown"
