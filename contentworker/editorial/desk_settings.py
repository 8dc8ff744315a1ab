"""The section `[desk]` of `worker.toml`: where the desk listens, who signs in, and what people may decide."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from contentworker.sections import Address, ListeningSection, Port, QueueName, Section, shaped

__all__ = ["DecisionSettings", "DeskRole", "DeskSettings", "OidcSettings"]

DeskRole = Literal["editor", "operator", "reader", "articles"]
HEADER_NAME = r"^[A-Za-z0-9-]*$"
DESK_FREE_KEYS = "abdfgimopquvxy"
"""Letters that decisions may have; the others are keys of the desk itself (`desk/static/desk.js`)."""


class DecisionSettings(Section):
    """One decision that the desk offers, under the word that the platform is told.

    Tables of your own replace all three defaults: `accept`, which publishes, `send_back`, which needs a note,
    and `reject`.
    """

    label: str = Field(min_length=1, max_length=40, description="The button's words.")
    key: Annotated[str, shaped(rf"[{DESK_FREE_KEYS}]?", f"one letter of {DESK_FREE_KEYS}, or empty")] = Field(
        "", description="The key that presses it: one letter that the desk itself does not use."
    )
    publishes: bool = Field(False, description="Whether the platform gets the text as it was chosen.")
    needs_note: bool = Field(False, description="Whether a note is required, such as for an author.")


class OidcSettings(Section):
    """Signing in to the desk at a provider of OpenID Connect (docs/desk.md).

    The secret `DESK_OIDC_SECRET` is the client's; without it the desk is a public client.
    """

    issuer: str = Field(
        "",
        pattern=r"^(https://[^\s?#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/[^\s?#]*)?)?$",
        description="The provider's issuer, exactly as its tokens have it; `https://`, or on this machine "
        "`http://`. Empty: no sign-in at a provider.",
    )
    client_id: str = Field("", description="The desk's id at the provider; needed with `issuer`.")
    scopes: tuple[str, ...] = Field(
        ("openid", "email"), description="What the desk asks the provider for; `openid` is needed."
    )
    name_claim: str = Field(
        "email",
        min_length=1,
        description="The claim that has a person's name. Take one that people cannot change themselves. "
        "With `email`, the provider must not say that `email_verified` is false.",
    )
    groups_claim: str = Field(
        "groups", min_length=1, description="The claim whose values `desk.group_roles` turns into roles."
    )

    @model_validator(mode="after")
    def _has_a_client(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("client_id: is needed with issuer")
        if "openid" not in self.scopes:
            raise ValueError("scopes: must have openid")
        return self


class DeskSettings(ListeningSection):
    """The desk, where people answer escalations in the browser (docs/desk.md).

    The secret `DESK_PASSWORDS` says who may sign in, besides `oidc` and a trusted proxy.
    """

    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on. Any but the loopback address needs `public_url` with https.",
    )
    port: Port = Field(5558, description="Port it listens on.")
    allowed_addresses: tuple[Address, ...] = Field(
        (),
        description="What its service may reach in addition to `services.allowed_addresses`, such as your "
        "PostgreSQL: `any`, an address, or a network such as `10.0.0.0/8`.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$",
        description="Address at which browsers reach it, such as `https://desk.example.com`: scheme, host "
        "and port, without a path. Empty: `http://127.0.0.1` or `http://localhost` with the port.",
    )
    undo_seconds: float = Field(
        30, ge=0, le=600, description="How long a decision can be taken back; then the platform is told."
    )
    due_hours: dict[QueueName, Annotated[float, Field(gt=0, le=8_760)]] = Field(
        {"cancelled": 4, "failed": 4, "interrupted": 4, "other": 24},
        description="After how many hours a person should have decided, by the reason of the escalation; "
        "`other` is for every reason that is not here. The list shows what is due first.",
    )
    hold_minutes: float = Field(15, ge=1, le=1440, description="How long an article that you take is yours.")
    session_hours: float = Field(12, gt=0, le=720, description="How long a person stays signed in.")
    letters_per_second: float = Field(
        10,
        gt=0,
        le=1000,
        description="How many dead letters a second are replayed or discarded if many are chosen: slow "
        "enough for a person to stop it.",
    )
    mail_link: Literal["login", "open"] = Field(
        "login",
        description="The link in notifications. `login`: to the article, for people who can sign in. `open`: "
        "anyone who has the mail can decide on that article for three days; needs the secret `DESK_SECRET`.",
    )
    group_roles: dict[str, tuple[DeskRole, ...]] = Field(
        {},
        description="Roles of the people in a group, by the exact value of the provider's claim or of the "
        "proxy's header.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses, or networks such as `10.1.0.0/24`, of proxies whose headers are believed: "
        "`X-Forwarded-For`, and the two below.",
    )
    proxy_user_header: str = Field(
        "",
        pattern=HEADER_NAME,
        description="Header in which a trusted proxy names the person who is signed in there, such as "
        "`X-Forwarded-User`. Empty: none does. Needs a loopback `address`.",
    )
    proxy_groups_header: str = Field(
        "",
        pattern=HEADER_NAME,
        description="Header with that person's groups, separated by commas, for `group_roles`.",
    )
    oidc: OidcSettings = OidcSettings()
    decisions: dict[QueueName, DecisionSettings] = Field(
        {
            "accept": DecisionSettings(label="Accept", key="a", publishes=True),
            "send_back": DecisionSettings(label="Send back", key="b", needs_note=True),
            "reject": DecisionSettings(label="Reject", key="x"),
        },
        min_length=1,
        description="The decisions by the platform's words, one table `[desk.decisions.WORD]` each.",
    )

    @field_validator("due_hours")
    @classmethod
    def _has_hours_for_others(cls, value: dict[str, float]) -> dict[str, float]:
        if "other" not in value:
            raise ValueError("must have a number for `other`")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(f"must be addresses or networks, not {each!r}") from None
        return value

    @model_validator(mode="after")
    def _signs_in_safely(self) -> Self:
        if self.proxy_user_header:
            if not self.trusted_proxies:
                raise ValueError("proxy_user_header: needs trusted_proxies: whose header is believed")
            if not self.is_loopback:
                raise ValueError(
                    "proxy_user_header: needs a loopback address: others could reach the port and write the "
                    "header themselves"
                )
        if (self.proxy_user_header or self.oidc.issuer) and not self.group_roles:
            raise ValueError("group_roles: is empty, so people who sign in elsewhere could do nothing")
        return self

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.mail_link == "open" and not self.public_url:
            raise ValueError("mail_link: needs public_url, where the link leads to")
        return self

    def hours_until_due(self, reason: str) -> float:
        """After how many hours a person should have decided."""
        return self.due_hours.get(reason, self.due_hours["other"])

    @field_validator("decisions")
    @classmethod
    def _keys_differ(cls, decisions: dict[str, DecisionSettings]) -> dict[str, DecisionSettings]:
        keys = [each.key for each in decisions.values() if each.key]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f"two decisions have the key {twice!r}")
        return decisions
