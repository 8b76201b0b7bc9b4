"""Settings of authorization servers: whose access tokens are taken, and whom they stand for.

Absent settings never widen access: tokens must be bound, and come with a certificate, unless it is said otherwise.
docs/reference/access-tokens.md explains each key.
"""

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config_values import Authority, Section, SystemName, TokenName

OFFICER_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
"""As ids.OfficerId."""


class Principal(Section):
    """Whom a token of an issuer stands for here."""

    name: SystemName
    role: Literal["system", "auditor", "officer"] = "system"
    subject: TokenName | None = None
    """The claim sub. Subject or client_id must be stated; with both, both must agree."""
    client_id: TokenName | None = None
    authorities: tuple[Authority, ...] = ()
    officer_id: str = ""
    """An officer's pseudonym. One who has a certificate too has the same here as there, or would be two."""
    officer_roles: frozenset[Literal["drafter", "approver", "duty_lead"]] = frozenset()
    scopes: frozenset[Literal["concord.submit", "concord.read", "concord.audit", "concord.decide"]]
    """The most that a token of this principal may do; what the token itself names limits it further."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.subject is None and self.client_id is None:
            raise PydanticCustomError("principal", "principal: subject or client_id must be stated")
        if (self.role != "auditor") is not bool(self.authorities):
            raise PydanticCustomError("principal", "principal: a system has authorities, an auditor has none")
        if (self.role == "officer") is not bool(self.officer_roles):
            raise PydanticCustomError("principal", "principal: an officer has officer_roles, nobody else has")
        if self.role == "officer" and self.subject is None:
            # A client is a program: whoever uses it would be the same officer, or none.
            raise PydanticCustomError(
                "principal", "principal: an officer has a subject; client_id alone names a program"
            )
        if not (OFFICER_ID.fullmatch(self.officer_id) if self.role == "officer" else not self.officer_id):
            raise PydanticCustomError(
                "principal", "principal: an officer has an officer_id, as in o-17, nobody else has"
            )
        return self


class Issuer(Section):
    """An authorization server whose access tokens (RFC 9068) are taken on the exchange listener."""

    url: TokenName
    """The claim iss, to the letter."""
    audience: TokenName
    """What the claim aud must name."""
    jwks_url: TokenName | None = None
    """https://... where its keys are. Either this or jwks_file."""
    jwks_file: Path | None = None
    """Its keys in a file, for closed networks; relative to the home. Read again when it changes."""
    ca_file: Path | None = None
    """Roots (PEM) for jwks_url instead of the system's; relative to the home."""
    resource: TokenName | None = None
    """https://host:port as clients write it in the htu of DPoP proofs; the exchange listener unless stated."""
    algorithms: frozenset[Literal["ES256", "ES384", "PS256", "RS256"]] = frozenset({"ES256", "PS256"})
    require_certificate: bool = True
    """False: its tokens are also taken on listen.tokens, where callers show no certificate."""
    allow_unbound: bool = False
    """Take tokens that anybody who has a copy can use. Off, they must be bound to a certificate or a DPoP key."""
    max_stale_s: int = Field(default=86_400, ge=60, le=7 * 86_400)
    """How long its last known keys count while it cannot be reached."""
    principal: tuple[Principal, ...] = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.jwks_url is None) is (self.jwks_file is None):
            raise PydanticCustomError("issuer", "issuer: state either jwks_url or jwks_file")
        if self.jwks_url is not None and not self.jwks_url.startswith("https://"):
            raise PydanticCustomError("issuer", "issuer: jwks_url must begin with https://")
        return self

    @model_validator(mode="after")
    def _one_person_each(self) -> Self:
        officers = [item for item in self.principal if item.role == "officer"]
        if officers and self.allow_unbound:
            raise PydanticCustomError("issuer", "issuer: with allow_unbound a copied token would decide for an officer")
        for officer in officers:
            # Else one person hands in, proposes and approves under different names.
            same = [item for item in self.principal if item.subject == officer.subject]
            if any((item.role, item.officer_id) != ("officer", officer.officer_id) for item in same):
                raise PydanticCustomError(
                    "issuer",
                    "issuer: subject '{who}' is an officer and somebody else too",
                    {"who": officer.subject or ""},
                )
        return self


def check_issuers(issuers: tuple[Issuer, ...], *, tokens: str | None) -> None:
    """Refuse issuers that do not go together.

    Raises:
        PydanticCustomError: Something is listed twice, or the port for tokens alone is not stated as it must be.
    """
    listed = [(issuer.url, "url") for issuer in issuers]
    listed += [(principal.name, "principal.name") for issuer in issuers for principal in issuer.principal]
    for value, key in listed:
        if listed.count((value, key)) > 1:
            raise PydanticCustomError("issuer", "issuer.{key}: '{value}' is listed twice", {"key": key, "value": value})
    if (tokens is None) is not all(issuer.require_certificate for issuer in issuers):
        raise PydanticCustomError(
            "issuer", "listen.tokens: must be stated when an issuer has require_certificate = false, and only then"
        )
