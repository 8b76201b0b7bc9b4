"""Officers as the use cases know them: by a pseudonym, with roles and the authorities they act for.

A name is on a certificate and in the register of this installation, and nowhere else: what goes into the exchange log,
and from there into evidence that others read, is the pseudonym.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.ids import AuthorityId, OfficerId

ROLES: Final = ("drafter", "approver", "duty_lead")
"""DESIGN 9. What each may do follows from the needs of a rule; nobody is any of these and an auditor too."""
DRAFTING_ROLES: Final = frozenset({"drafter", "duty_lead"})
"""Who may hand drafts in. A duty lead may have to act alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Officer:
    """One officer."""

    officer_id: OfficerId
    roles: frozenset[str]
    authorities: frozenset[AuthorityId]

    @property
    def principal(self) -> str:
        """As the exchange log names who acts."""
        return principal_of(self.officer_id)


class Officers(Protocol):
    """Who is an officer now."""

    def officers(self) -> Mapping[OfficerId, Officer]: ...


def principal_of(officer_id: OfficerId) -> str:
    """Return how an officer is named as an actor."""
    return f"officer/{officer_id}"


def officer_of(principal: str) -> OfficerId | None:
    """Return the officer that a principal names; None for anybody else."""
    kind, _, name = principal.partition("/")
    return OfficerId(name) if kind == "officer" and name else None
