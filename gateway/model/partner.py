"""Partners: the card a partner signs about itself, and the profile and agreements kept about it as data."""

from enum import Enum, IntEnum
from typing import Self

from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind, Mode, Urgency
from gateway.values import dataclass


class KeyPurpose(IntEnum):
    """One key, one purpose. Numbers equal those of partner.proto."""

    IDENTITY = 1
    ENVELOPE = 2
    RECEIPT = 3
    SEAL = 4
    LOG = 5
    RECOVERY = 6
    LOG_COSIGN = 7
    """ML-DSA-44, beside the Ed25519 key of LOG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKey:
    """A public key and when it counts."""

    purpose: KeyPurpose
    public_key: bytes
    start_ms: int
    end_ms: int
    revoke_ms: int | None
    """From this instant the key is worthless, whatever is signed with it."""


def gateway_name(partner: PartnerId) -> str:
    """Return the DNS name that a partner's gateway certificate carries besides its SPIFFE id.

    gRPC for Python shows a client nothing of the server's certificate, but it can be told which name to insist on.
    """
    return f"{partner}.concord.internal"


@dataclass(frozen=True, slots=True)
class LocalName:
    """A name in one language (BCP 47)."""

    language: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A duty post that answers round the clock."""

    id: str
    names: tuple[LocalName, ...]
    telephone: str
    """E.164."""
    time_zone: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority of a partner, as people call it."""

    id: AuthorityId
    names: tuple[LocalName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A partner's description of itself."""

    partner: PartnerId
    sequence: int
    previous_digest: bytes
    """SHA-256 of the encoded card before; empty for the first."""
    create_ms: int
    names: tuple[LocalName, ...]
    keys: tuple[CardKey, ...]
    tls_roots: tuple[bytes, ...]
    """DER."""
    endpoints: tuple[str, ...]
    """host:port of the federation listener, most wanted first."""
    desks: tuple[Desk, ...]
    time_zone: str
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    suites: tuple[int, ...]

    def keys_for(self, purpose: KeyPurpose) -> tuple[CardKey, ...]:
        """Return the keys of one purpose, in the card's order."""
        return tuple(key for key in self.keys if key.purpose is purpose)


@dataclass(frozen=True, slots=True)
class CardSignature:
    """A signature on a card by its partner's identity or recovery key."""

    purpose: KeyPurpose
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedCard:
    """A card as it travels: bytes and signatures, not verified."""

    card: bytes
    signatures: tuple[CardSignature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Targets for one urgency, counted from when the message was sent. UTC, with no office hours."""

    receipt_ms: int
    """The machine's receipt."""
    acknowledge_ms: int
    """A person has seen it."""
    decide_ms: int
    """A decision, or the first action."""
    status_ms: int
    """Between one word on how it stands and the next."""

    def slower(self, other: Self) -> "Clock":
        """Return the longer target of each two."""
        return Clock(
            receipt_ms=max(self.receipt_ms, other.receipt_ms),
            acknowledge_ms=max(self.acknowledge_ms, other.acknowledge_ms),
            decide_ms=max(self.decide_ms, other.decide_ms),
            status_ms=max(self.status_ms, other.status_ms),
        )


class Regime(Enum):
    """When a state is told that one of its nationals is detained (Vienna Convention on Consular Relations, Art. 36)."""

    ON_REQUEST = "on_request"
    """At the person's request."""
    MANDATORY_BILATERAL = "mandatory_bilateral"
    """Always, because the two states have agreed so."""


@dataclass(frozen=True, slots=True)
class Notification:
    """The regime between two states, and within how many hours it is owed; 0 where the person's request begins it."""

    regime: Regime
    hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an agreement says of one kind of case."""

    measures: frozenset[str]
    """For requests; empty for every other kind."""
    purposes: frozenset[str]
    legal_bases: frozenset[str]
    approvals: int
    """Different officers who approve what leaves, besides whoever wrote it."""
    clocks: tuple[tuple[Urgency, Clock], ...]
    """Where they differ from the common ones."""
    retention_days: int
    notification: Notification

    def clock(self, urgency: Urgency) -> Clock | None:
        """Return the targets named for an urgency."""
        return dict(self.clocks).get(urgency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What one partner has agreed to exchange with others. Both sides must list it for it to be in force."""

    id: str
    partners: frozenset[PartnerId]
    """With whom."""
    kinds: frozenset[Kind]
    authorities: frozenset[AuthorityId]
    """The partner's own authorities that may send under it."""
    purposes: frozenset[str]
    legal_bases: tuple[str, ...]
    modes: frozenset[Mode]
    default_lifetime_ms: int
    retention_days: int
    release: str
    """'system': leaves when the checks pass; 'officers': two officers release it."""
    terms: tuple[tuple[Kind, Terms], ...] = ()
    """By kind; alerts have none."""
    conditions: str = ""
    """Cedar text that narrows it further; empty when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is kept about a partner as data in partners/<code>.toml."""

    partner: PartnerId
    names: tuple[LocalName, ...]
    time_zone: str
    languages: tuple[str, ...]
    desks: tuple[Desk, ...]
    agreements: tuple[Agreement, ...]
    authorities: tuple[Authority, ...] = ()

    def name(self, language: str = "en") -> str:
        """Return the name in a language, else in English, else the code."""
        by_language = {item.language: item.name for item in self.names}
        return by_language.get(language) or by_language.get("en") or self.partner.code
