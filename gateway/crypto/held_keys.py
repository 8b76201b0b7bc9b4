"""Keys as a keyring holds them, with the time they count, and their form in its JSON."""

import base64
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, Self

from gateway.crypto.keys import OpenKey, SealKey, SignKey, key_id
from gateway.crypto.mldsa import MLDSASignKey
from gateway.errors import ConfigInvalid
from gateway.model.header import MAX_AHEAD_MS
from gateway.model.partner import CardKey, CardSignature, KeyPurpose, SignedCard

_DAY_MS: Final = 86_400_000
SEAL_LIFETIME_MS: Final = 30 * _DAY_MS
"""DESIGN 5: encryption keys rotate, default 30 days."""
SIGN_LIFETIME_MS: Final = 366 * _DAY_MS
IDENTITY_LIFETIME_MS: Final = 3660 * _DAY_MS


def to_text(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: str) -> bytes:
    """Return the bytes of strict base64.

    Raises:
        ValueError: It is not.
    """
    return base64.b64decode(text, validate=True)


def _start(now_ms: int) -> int:
    # A partner's clock may be behind ours by as much as is tolerated; a fresh key must count there as well.
    return max(0, now_ms - MAX_AHEAD_MS)


def _optional_int(value: object) -> int | None:
    return None if value is None else int(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSignKey:
    """A signing key in use, and when it counts."""

    key: SignKey
    start_ms: int
    end_ms: int

    @classmethod
    def generate(cls, purpose: KeyPurpose, now_ms: int) -> Self:
        """Return a fresh key."""
        lifetime_ms = IDENTITY_LIFETIME_MS if purpose is KeyPurpose.IDENTITY else SIGN_LIFETIME_MS
        return cls(key=SignKey.generate(), start_ms=_start(now_ms), end_ms=now_ms + lifetime_ms)

    def on_card(self, purpose: KeyPurpose) -> CardKey:
        """Return the public key as a card lists it."""
        return CardKey(
            purpose=purpose,
            public_key=self.key.verify_key.public,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            revoke_ms=None,
        )

    def retire(self, purpose: KeyPurpose, now_ms: int, *, revoke: bool) -> CardKey:
        """Return what stays of a key that is replaced now: its public part."""
        return CardKey(
            purpose=purpose,
            public_key=self.key.verify_key.public,
            start_ms=self.start_ms,
            end_ms=max(min(self.end_ms, now_ms), self.start_ms + 1),
            revoke_ms=now_ms if revoke else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key with its secret."""
        return {"secret": to_text(self.key.export_secret()), "start_ms": self.start_ms, "end_ms": self.end_ms}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the key.

        Raises:
            KeyError, ValueError, TypeError, FieldInvalid: Something else than to_json makes.
        """
        return cls(
            key=SignKey(from_text(entry["secret"])), start_ms=int(entry["start_ms"]), end_ms=int(entry["end_ms"])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCosignKey:
    """The ML-DSA-44 key of the exchange log, and when it counts."""

    key: MLDSASignKey
    start_ms: int
    end_ms: int

    @classmethod
    def generate(cls, now_ms: int) -> Self:
        """Return a fresh key."""
        return cls(key=MLDSASignKey.generate(), start_ms=_start(now_ms), end_ms=now_ms + SIGN_LIFETIME_MS)

    def on_card(self) -> CardKey:
        """Return the public key as a card lists it."""
        return CardKey(
            purpose=KeyPurpose.LOG_COSIGN,
            public_key=self.key.verify_key.public,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            revoke_ms=None,
        )

    def retire(self, now_ms: int, *, revoke: bool) -> CardKey:
        """Return what stays of a key that is replaced now: its public part."""
        end_ms = max(min(self.end_ms, now_ms), self.start_ms + 1)
        return replace(self.on_card(), end_ms=end_ms, revoke_ms=now_ms if revoke else None)

    def to_json(self) -> dict[str, Any]:
        """Return the key with its secret."""
        return {"secret": to_text(self.key.export_secret()), "start_ms": self.start_ms, "end_ms": self.end_ms}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the key.

        Raises:
            KeyError, ValueError, TypeError, FieldInvalid: Something else than to_json makes.
        """
        return cls(
            key=MLDSASignKey(from_text(entry["secret"])), start_ms=int(entry["start_ms"]), end_ms=int(entry["end_ms"])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSealKey:
    """An encryption key, its private part until it is destroyed."""

    public: bytes
    key: OpenKey | None
    start_ms: int
    end_ms: int
    revoke_ms: int | None

    @classmethod
    def generate(cls, now_ms: int, lifetime_ms: int) -> Self:
        """Return a fresh key."""
        key = OpenKey.generate()
        return cls(
            public=key.seal_key.public, key=key, start_ms=_start(now_ms), end_ms=now_ms + lifetime_ms, revoke_ms=None
        )

    @property
    def id(self) -> bytes:
        """Key id of the public part."""
        return key_id(self.public)

    def answers(self, now_ms: int, grace_ms: int) -> bool:
        """Tell whether what is sealed for this key is still opened."""
        return now_ms < self.end_ms + grace_ms and (self.revoke_ms is None or now_ms < self.revoke_ms)

    def on_card(self) -> CardKey:
        """Return the public key as a card lists it."""
        return CardKey(
            purpose=KeyPurpose.SEAL,
            public_key=self.public,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            revoke_ms=self.revoke_ms,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key with its secret, unless that is destroyed."""
        return {
            "public": to_text(self.public),
            "secret": to_text(self.key.export_secret()) if self.key else None,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "revoke_ms": self.revoke_ms,
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the key.

        Raises:
            ConfigInvalid: The secret is not that of the public part.
            KeyError, ValueError, TypeError, FieldInvalid: Something else than to_json makes.
        """
        public = from_text(entry["public"])
        key = None if entry["secret"] is None else OpenKey(from_text(entry["secret"]))
        if (key.seal_key if key else SealKey(public)).public != public:
            raise ConfigInvalid("an encryption key of the keyring does not fit its public part")
        return cls(
            public=public,
            key=key,
            start_ms=int(entry["start_ms"]),
            end_ms=int(entry["end_ms"]),
            revoke_ms=_optional_int(entry["revoke_ms"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerTls:
    """What links show after a recovery, until partners know the new authority."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    authority_certificate_pem: bytes

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TLS key is stored locked, never pickled")

    def to_json(self) -> list[str]:
        """Return it with its secret."""
        return [to_text(item) for item in (self.key_pem, self.certificate_pem, self.authority_certificate_pem)]

    @classmethod
    def from_json(cls, entry: list[str]) -> Self:
        """Return it.

        Raises:
            ValueError, TypeError: Something else than to_json makes.
        """
        key, certificate, authority = (from_text(item) for item in entry)
        return cls(key_pem=key, certificate_pem=certificate, authority_certificate_pem=authority)


def card_to_json(signed: SignedCard) -> dict[str, Any]:
    """Return a signed card: nothing in it is secret."""
    return {
        "card": to_text(signed.card),
        "signatures": [
            [item.purpose.name, to_text(item.public_key), to_text(item.signature)] for item in signed.signatures
        ],
    }


def card_from_json(entry: dict[str, Any]) -> SignedCard:
    """Return a signed card; nothing about it is verified.

    Raises:
        KeyError, ValueError, TypeError: Something else than card_to_json makes.
    """
    signatures = tuple(
        CardSignature(purpose=KeyPurpose[purpose], public_key=from_text(public), signature=from_text(signature))
        for purpose, public, signature in entry["signatures"]
    )
    return SignedCard(card=from_text(entry["card"]), signatures=signatures)


def past_to_json(key: CardKey) -> dict[str, Any]:
    """Return a replaced signing key: public part only."""
    return {
        "purpose": key.purpose.name,
        "public": to_text(key.public_key),
        "start_ms": key.start_ms,
        "end_ms": key.end_ms,
        "revoke_ms": key.revoke_ms,
    }


def past_from_json(entry: dict[str, Any]) -> CardKey:
    """Return a replaced signing key.

    Raises:
        KeyError, ValueError, TypeError: Something else than past_to_json makes.
    """
    return CardKey(
        purpose=KeyPurpose[entry["purpose"]],
        public_key=from_text(entry["public"]),
        start_ms=int(entry["start_ms"]),
        end_ms=int(entry["end_ms"]),
        revoke_ms=_optional_int(entry["revoke_ms"]),
    )
