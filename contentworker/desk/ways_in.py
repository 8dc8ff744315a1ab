"""How people get into a desk, by its settings and secrets: all of it is checked before anybody is let in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from contentworker.desk import passwords
from contentworker.desk.passwords import Account
from contentworker.editorial.desk_settings import DeskSettings
from contentworker.editorial.escalations import links
from contentworker.errors import ConfigError
from contentworker.sections import ListeningSection

if TYPE_CHECKING:
    from contentworker.desk.oidc import Provider

__all__ = ["OIDC_SECRET", "WaysIn", "ways_in"]

OIDC_SECRET = "DESK_OIDC_SECRET"  # noqa: S105 (its name)


class WaysIn(NamedTuple):
    """Who may get in, and how."""

    accounts: dict[str, Account]
    provider: "Provider | None"
    provider_sha256: str
    link_secret: str

    def __str__(self) -> str:
        count = len(self.accounts)
        ways = [f"{count} {'person' if count == 1 else 'people'} with a password"]
        ways += ["OpenID Connect"] if self.provider else []
        ways += ["links in mails"] if self.link_secret else []
        return ", ".join(ways)


def ways_in(
    settings: DeskSettings, listening: ListeningSection, environ: Mapping[str, str], desk_url: str
) -> WaysIn:
    """The ways into the desk. Without passwords, only if people sign in elsewhere.

    Raises:
        ConfigError: a secret is missing or has another form, or others could write a proxy's header.
    """
    if settings.proxy_user_header and not listening.is_loopback:
        raise ConfigError(
            "desk.proxy_user_header: needs a loopback address: others could reach the port and write the "
            "header themselves"
        )
    link_secret = links.secret_of(environ) if settings.mail_link == "open" else ""
    given = environ.get("DESK_PASSWORDS", "")
    is_needed = not (settings.oidc.issuer or settings.proxy_user_header)
    accounts = passwords.read(given) if given or is_needed else {}
    if not settings.oidc.issuer:
        return WaysIn(accounts, None, "", link_secret)
    try:
        from contentworker.desk import oidc
    except ModuleNotFoundError as error:
        raise ConfigError(f"desk.oidc: {error}: install the dependency group `desk`") from None
    provider = oidc.Provider(settings, environ.get(OIDC_SECRET, ""), desk_url)
    return WaysIn(accounts, provider, oidc.fingerprint(settings), link_secret)
