"""`content-worker desk …`: the web application for editors."""

import os
import re
import secrets
from functools import partial

import click

from contentworker import config
from contentworker.articles.announcing import ask_to_announce
from contentworker.cli import connection
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.opening import open_engine_of
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ConfigError
from contentworker.runtime import environment
from contentworker.runtime.logs import lines as logs

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
        from contentworker.desk.web import Desk
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: install the dependency group `desk`") from None
    settings = config.load()
    logs.set_up(settings.logs)
    with connection.listening(settings.desk, address, port) as listening:
        origins = application.origins(settings.desk.public_url, listening)
        given = os.environ.get("DESK_PASSWORDS", "")
        accounts = passwords.read(given) if given or not demo else {}
        shown = f"The desk: {origins[0]}"
        if demo:
            if not listening.is_loopback:
                raise ConfigError("--demo: only with a loopback address")
            made = secrets.token_urlsafe(9)
            accounts |= passwords.read(passwords.account_line(DEMO, DEMO_ROLES, made))
            shown += f"  user: {DEMO}  password: {made}"
        engine = open_engine_of(settings.escalations, environment.folder(config.ROOT))
        store = Store(engine)
        store.open_count()  # the tables are there, or it does not start
        app = connection.impatient_application()
        audit, pace = Audit(engine), settings.desk.letters_per_second
        machinery = Machinery(app, connection.impatient_client, settings, pace, audit)
        desk = Desk(
            store,
            Sessions(engine),
            Tokens(engine),
            audit,
            accounts,
            settings,
            machinery,
            partial(ask_to_announce, app),
            origins,
        )
        listener = application.listen(listening)
    click.echo(shown)
    with machinery:
        application.serve(desk, listener)
    engine.dispose()


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
