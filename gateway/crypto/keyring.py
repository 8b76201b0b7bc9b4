"""The gateway's own secret keys, in one locked file.

A keyring is a value: rotating returns another one, and the caller stores that before it publishes the card made from
it, so that no key is ever published whose secret could be lost. Signing keys that were replaced are forgotten at once
(only their public part stays on the card, for what is still on its way); encryption keys are kept for the grace and
then destroyed. Reference: DESIGN section 5, "Keys".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import pyrage

from gateway.crypto import certificates
from gateway.crypto.held_keys import (
    IDENTITY_LIFETIME_MS,
    SEAL_LIFETIME_MS,
    FormerTls,
    HeldCosignKey,
    HeldSealKey,
    HeldSignKey,
    card_from_json,
    card_to_json,
    from_text,
    past_from_json,
    past_to_json,
    to_text,
)
from gateway.crypto.keys import KeyEncryptionKey, OpenKey, SignKey, key_id
from gateway.crypto.mldsa import MLDSASignKey
from gateway.errors import ConfigInvalid, GatewayError, PassphraseWrong
from gateway.ids import PartnerId
from gateway.model.partner import CardKey, KeyPurpose, SignedCard

_FORMAT: Final = "concord-keyring"
_VERSION: Final = 1
_KEPT_PAST: Final = 8
"""Replaced keys of one purpose that stay on the card; older ones are past any grace when rotation is not abused."""
_SIGNING: Final = (KeyPurpose.IDENTITY, KeyPurpose.ENVELOPE, KeyPurpose.RECEIPT, KeyPurpose.LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """All secrets of one gateway."""

    partner: PartnerId
    signing: tuple[tuple[KeyPurpose, HeldSignKey], ...]
    """One key per purpose: identity, envelope, receipt, log."""
    previous_identity: SignKey | None
    """Signs cards beside the identity key that replaced it, for partners that have not seen the change yet."""
    log_cosign: HeldCosignKey
    past: tuple[CardKey, ...]
    """Signing keys that were replaced: public parts only."""
    seal: tuple[HeldSealKey, ...]
    """Newest first."""
    recovery_public: bytes | None
    """The recovery key itself is kept off line."""
    key_encryption: KeyEncryptionKey
    authority_key_pem: bytes
    authority_certificate_pem: bytes
    tls_key_pem: bytes
    tls_certificate_pem: bytes
    card_sequence: int
    """Number of the last card made; 0 before the first."""
    card_digest: bytes
    recovered_card: SignedCard | None = None
    """The last card signed by the recovery key. Partners that were away take no later card before they have seen it."""
    former_tls: FormerTls | None = None

    def __repr__(self) -> str:
        return f"Keyring({self.partner}, identity {self.identity.id.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is stored locked, never pickled")

    @classmethod
    def generate(
        cls,
        partner: PartnerId,
        now_ms: int,
        *,
        recovery_public: bytes | None = None,
        names: Sequence[str] = ("localhost", "127.0.0.1"),
        seal_lifetime_ms: int = SEAL_LIFETIME_MS,
    ) -> "Keyring":
        """Return a keyring of fresh keys, TLS authority and certificate included."""
        authority = certificates.create_authority(partner, now_ms)
        tls_key, tls_certificate = certificates.issue_gateway(authority, partner, now_ms, names)
        return cls(
            partner=partner,
            signing=tuple((purpose, HeldSignKey.generate(purpose, now_ms)) for purpose in _SIGNING),
            previous_identity=None,
            log_cosign=HeldCosignKey.generate(now_ms),
            past=(),
            seal=(HeldSealKey.generate(now_ms, seal_lifetime_ms),),
            recovery_public=recovery_public,
            key_encryption=KeyEncryptionKey.generate(),
            authority_key_pem=authority[0],
            authority_certificate_pem=authority[1],
            tls_key_pem=tls_key,
            tls_certificate_pem=tls_certificate,
            card_sequence=0,
            card_digest=b"",
        )

    def _held(self, purpose: KeyPurpose) -> HeldSignKey:
        return dict(self.signing)[purpose]

    @property
    def identity(self) -> SignKey:
        """Signs cards."""
        return self._held(KeyPurpose.IDENTITY).key

    @property
    def envelope(self) -> SignKey:
        """Signs envelopes."""
        return self._held(KeyPurpose.ENVELOPE).key

    @property
    def receipt(self) -> SignKey:
        """Signs receipts."""
        return self._held(KeyPurpose.RECEIPT).key

    @property
    def log(self) -> SignKey:
        """Signs checkpoints of the exchange log."""
        return self._held(KeyPurpose.LOG).key

    @property
    def cosign(self) -> MLDSASignKey:
        """Signs checkpoints beside it."""
        return self.log_cosign.key

    def open_keys(self, now_ms: int, grace_ms: int) -> dict[bytes, OpenKey]:
        """Return the encryption keys that are answered for now, by key id."""
        return {held.id: held.key for held in self.seal if held.key is not None and held.answers(now_ms, grace_ms)}

    def retired(self, now_ms: int, grace_ms: int) -> frozenset[bytes]:
        """Return the ids of encryption keys that are no longer answered for."""
        return frozenset(held.id for held in self.seal if held.key is None or not held.answers(now_ms, grace_ms))

    def revoked(self) -> frozenset[bytes]:
        """Return the ids of signing keys that were revoked."""
        return frozenset(key_id(key.public_key) for key in self.past if key.revoke_ms is not None)

    def destroy_past_grace(self, now_ms: int, grace_ms: int) -> "Keyring":
        """Return the keyring without the private parts of encryption keys that are no longer answered for."""
        return replace(
            self,
            seal=tuple(held if held.answers(now_ms, grace_ms) else replace(held, key=None) for held in self.seal),
        )

    def card_keys(self) -> tuple[CardKey, ...]:
        """Return the public keys as a card lists them."""
        current = tuple(held.on_card(purpose) for purpose, held in self.signing)
        recovery: tuple[CardKey, ...] = ()
        if self.recovery_public is not None:
            identity = self._held(KeyPurpose.IDENTITY)
            # A recovery key has no end of its own: it is there for when everything else is gone.
            recovery = (
                CardKey(
                    purpose=KeyPurpose.RECOVERY,
                    public_key=self.recovery_public,
                    start_ms=0,
                    end_ms=identity.end_ms + IDENTITY_LIFETIME_MS,
                    revoke_ms=None,
                ),
            )
        seal = tuple(held.on_card() for held in self.seal if held.key is not None or held.revoke_ms is not None)
        # Old identity keys stay off: a fingerprint must never match a key that no longer speaks for us.
        past = tuple(key for key in self.past if key.purpose is not KeyPurpose.IDENTITY)
        return (*current, self.log_cosign.on_card(), *recovery, *seal[:_KEPT_PAST], *past)

    def rotate_seal(self, now_ms: int, *, revoke: bool = False, lifetime_ms: int = SEAL_LIFETIME_MS) -> "Keyring":
        """Return the keyring with a new encryption key. The old one opens what is on its way, unless revoked."""
        old = tuple(
            replace(
                held,
                end_ms=max(min(held.end_ms, now_ms), held.start_ms + 1),
                revoke_ms=now_ms if revoke and held.revoke_ms is None else held.revoke_ms,
                key=None if revoke else held.key,
            )
            for held in self.seal
        )
        return replace(self, seal=(HeldSealKey.generate(now_ms, lifetime_ms), *old))

    def rotate_envelope(self, now_ms: int, *, revoke: bool = False) -> "Keyring":
        """Return the keyring with a new key for envelopes."""
        return self._rotate(KeyPurpose.ENVELOPE, now_ms, revoke=revoke)

    def rotate_receipt(self, now_ms: int, *, revoke: bool = False) -> "Keyring":
        """Return the keyring with a new key for receipts."""
        return self._rotate(KeyPurpose.RECEIPT, now_ms, revoke=revoke)

    def rotate_log(self, now_ms: int, *, revoke: bool = False) -> "Keyring":
        """Return the keyring with two new keys for the exchange log. Its name stays."""
        ring = self._rotate(KeyPurpose.LOG, now_ms, revoke=revoke)
        past = (self.log_cosign.retire(now_ms, revoke=revoke), *ring.past)
        return replace(ring, log_cosign=HeldCosignKey.generate(now_ms), past=past)

    def rotate_identity(self, now_ms: int, *, revoke: bool = False) -> "Keyring":
        """Return the keyring with a new identity key; the next card is signed by the old one as well."""
        return replace(self._rotate(KeyPurpose.IDENTITY, now_ms, revoke=revoke), previous_identity=self.identity)

    def recover(self, now_ms: int, names: Sequence[str] = ("localhost", "127.0.0.1")) -> "Keyring":
        """Return the keyring in which nothing counts any more that a thief of this one has.

        All signing and encryption keys are new and the old ones revoked. TLS has a new authority, and national systems
        need certificates of it; links show the former certificate until `rotate_tls`, because partners know the new
        authority only from the card that travels over them. The next card needs the recovery key: see with_recovered.
        """
        ring = self.rotate_seal(now_ms, revoke=True)
        ring = ring.rotate_envelope(now_ms, revoke=True).rotate_receipt(now_ms, revoke=True)
        ring = ring.rotate_log(now_ms, revoke=True).rotate_identity(now_ms, revoke=True)
        authority = certificates.create_authority(self.partner, now_ms)
        key, certificate = certificates.issue_gateway(authority, self.partner, now_ms, names)
        return replace(
            ring,
            # What a thief can sign with vouches for nothing.
            previous_identity=None,
            authority_key_pem=authority[0],
            authority_certificate_pem=authority[1],
            tls_key_pem=key,
            tls_certificate_pem=certificate,
            # A second recovery before the first has reached everybody: what partners know is still the oldest.
            former_tls=self.former_tls
            or FormerTls(
                key_pem=self.tls_key_pem,
                certificate_pem=self.tls_certificate_pem,
                authority_certificate_pem=self.authority_certificate_pem,
            ),
        )

    @property
    def link_tls(self) -> tuple[bytes, bytes]:
        """Key and certificate (PEM) shown on links."""
        if self.former_tls is not None:
            return self.former_tls.key_pem, self.former_tls.certificate_pem
        return self.tls_key_pem, self.tls_certificate_pem

    @property
    def authority_certificates_pem(self) -> tuple[bytes, ...]:
        """Certificates of the authorities that links may lead to, as the card lists them."""
        former = () if self.former_tls is None else (self.former_tls.authority_certificate_pem,)
        return (self.authority_certificate_pem, *former)

    def rotate_tls(self, now_ms: int, names: Sequence[str] = ("localhost", "127.0.0.1")) -> "Keyring":
        """Return the keyring with a new TLS key and certificate under its authority; a former one ends."""
        authority = (self.authority_key_pem, self.authority_certificate_pem)
        key, certificate = certificates.issue_gateway(authority, self.partner, now_ms, names)
        return replace(self, tls_key_pem=key, tls_certificate_pem=certificate, former_tls=None)

    def _rotate(self, purpose: KeyPurpose, now_ms: int, *, revoke: bool) -> "Keyring":
        retired = self._held(purpose).retire(purpose, now_ms, revoke=revoke)
        same = [key for key in self.past if key.purpose is purpose]
        kept = {retired.public_key, *(key.public_key for key in same[: _KEPT_PAST - 1])}
        past = tuple(key for key in (retired, *self.past) if key.purpose is not purpose or key.public_key in kept)
        signing = tuple((at, HeldSignKey.generate(at, now_ms) if at is purpose else held) for at, held in self.signing)
        return replace(self, signing=signing, past=past)

    def with_card(self, sequence: int, digest: bytes) -> "Keyring":
        """Return the keyring that remembers the last card made from it."""
        return replace(self, card_sequence=sequence, card_digest=digest)

    def with_recovered(self, sequence: int, digest: bytes, signed: SignedCard) -> "Keyring":
        """Return the keyring that keeps the card that the recovery key has signed."""
        return replace(self, card_sequence=sequence, card_digest=digest, recovered_card=signed)

    def to_bytes(self) -> bytes:
        """Return the keyring as JSON with every secret in it. Never stored as it is: see lock."""
        return json.dumps(_to_json(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Keyring":
        """Return the keyring.

        Raises:
            ConfigInvalid: Not a keyring, or of a version not known here.
        """
        try:
            return _from_json(json.loads(data))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            GatewayError,
        ) as error:
            raise ConfigInvalid(f"the keyring cannot be read ({type(error).__name__})") from None

    def lock(self, passphrase: str) -> bytes:
        """Return the keyring as an age file under a passphrase (scrypt: takes about a second)."""
        return bytes(pyrage.passphrase.encrypt(self.to_bytes(), passphrase))

    @classmethod
    def unlock(cls, data: bytes, passphrase: str) -> "Keyring":
        """Return the keyring from an age file.

        Raises:
            PassphraseWrong: It does not open with this passphrase.
            ConfigInvalid: What is in it is not a keyring.
        """
        try:
            plain = pyrage.passphrase.decrypt(data, passphrase)
        except pyrage.DecryptError:
            raise PassphraseWrong("the keyring does not open with this passphrase") from None
        return cls.from_bytes(plain)


def _to_json(ring: Keyring) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "partner": ring.partner.code,
        "signing": {purpose.name: held.to_json() for purpose, held in ring.signing},
        "previous_identity": to_text(ring.previous_identity.export_secret()) if ring.previous_identity else None,
        "log_cosign": ring.log_cosign.to_json(),
        "past": [past_to_json(key) for key in ring.past],
        "seal": [held.to_json() for held in ring.seal],
        "recovery_public": to_text(ring.recovery_public) if ring.recovery_public else None,
        "key_encryption": to_text(ring.key_encryption.export_secret()),
        "authority": [to_text(ring.authority_key_pem), to_text(ring.authority_certificate_pem)],
        "tls": [to_text(ring.tls_key_pem), to_text(ring.tls_certificate_pem)],
        "card_sequence": ring.card_sequence,
        "card_digest": to_text(ring.card_digest),
        "recovered_card": card_to_json(ring.recovered_card) if ring.recovered_card else None,
        "former_tls": ring.former_tls.to_json() if ring.former_tls else None,
    }


def _from_json(data: dict[str, Any]) -> Keyring:
    if data["format"] != _FORMAT or data["version"] != _VERSION:
        raise ConfigInvalid("not a keyring of a version known here")
    authority_key, authority_certificate = data["authority"]
    tls_key, tls_certificate = data["tls"]
    return Keyring(
        partner=PartnerId.parse(data["partner"]),
        signing=tuple((purpose, HeldSignKey.from_json(data["signing"][purpose.name])) for purpose in _SIGNING),
        previous_identity=SignKey(from_text(data["previous_identity"])) if data["previous_identity"] else None,
        log_cosign=HeldCosignKey.from_json(data["log_cosign"]),
        past=tuple(past_from_json(entry) for entry in data["past"]),
        seal=tuple(HeldSealKey.from_json(entry) for entry in data["seal"]),
        recovery_public=from_text(data["recovery_public"]) if data["recovery_public"] else None,
        key_encryption=KeyEncryptionKey(from_text(data["key_encryption"])),
        authority_key_pem=from_text(authority_key),
        authority_certificate_pem=from_text(authority_certificate),
        tls_key_pem=from_text(tls_key),
        tls_certificate_pem=from_text(tls_certificate),
        card_sequence=int(data["card_sequence"]),
        card_digest=from_text(data["card_digest"]),
        # Absent in keyrings that are older than recovery.
        recovered_card=card_from_json(data["recovered_card"]) if data.get("recovered_card") else None,
        former_tls=FormerTls.from_json(data["former_tls"]) if data.get("former_tls") else None,
    )
