"""Cards: a partner's signed description of itself, and the sequence in which one follows another.

Rules enforced here, all by raising CardRejected:
- A card holds exactly one identity key, unrevoked, and is signed by it: whoever publishes a key has it. Old identity
  keys are not listed, so that a fingerprint never matches a key that no longer speaks for the partner.
- Every signature on a card verifies; one that does not is never merely ignored.
- The next card of a partner has a greater number and is signed by the identity key of the card before, or by its
  recovery key. The direct successor names the digest of the card before.
- A card signed by the recovery key beats one of equal number that is not, and needs no chain: it is the way back when
  the identity key is stolen. For the same reason only the recovery key can change the recovery key.
What is left to others: that the first card is the partner's (fingerprint), and which card is the current one.
Reference: DESIGN section 6.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.crypto import framing
from gateway.crypto.codec import CardCodec
from gateway.crypto.keys import SEAL_KEY_BYTES, VERIFY_KEY_BYTES, SealKey, SignKey, VerifyKey, key_id
from gateway.crypto.mldsa import MLDSAVerifyKey
from gateway.errors import CardRejected, EnvelopeRejected, FieldInvalid, Rejected
from gateway.model.partner import Card, CardKey, CardSignature, KeyPurpose, SignedCard

MAX_CARD_BYTES: Final = 65_536
MAX_SIGNATURES: Final = 4
MAX_KEYS: Final = 64
"""partner.proto: SignedCard.card, SignedCard.signatures, Card.keys."""
MAX_STEP: Final = 1 << 16
"""How far one card may be ahead of the card before: a thief must not use up the numbers in one step. Who was away for
years misses a few hundred cards."""
FINGERPRINT_DIGITS: Final = 40
NEAR_DIGITS: Final = 4
"""So many slips are taken for slips. Fewer than one key in 10^28 has a fingerprint so close to a given one."""
_GROUP_DIGITS: Final = 5

_LABELS: Final[Mapping[KeyPurpose, bytes]] = {KeyPurpose.IDENTITY: b"identity", KeyPurpose.RECOVERY: b"recovery"}
"""Who may sign a card."""


@dataclass(frozen=True, slots=True)
class VerifiedCard:
    """A card whose signatures hold."""

    card: Card
    digest: bytes
    signed: SignedCard

    @property
    def recovery_signed(self) -> bool:
        """Whether the recovery key has signed it."""
        return any(signature.purpose is KeyPurpose.RECOVERY for signature in self.signed.signatures)


def card_digest(card: bytes) -> bytes:
    """Return what the next card names this one by."""
    return hashlib.sha256(card).digest()


def fingerprint(identity_public: bytes) -> str:
    """Return an identity key as people read it aloud: 8 groups of 5 decimal digits.

    39 digits are the first 128 bits of a SHA-256; the last is a check digit (ISO 7064 MOD 11,10), which finds every
    single wrong digit. Digits only, because they are read the same way in every language.
    """
    digest = hashlib.sha256(framing.pae(framing.FINGERPRINT, identity_public)).digest()
    digits = f"{int.from_bytes(digest[:16], 'big'):039d}"
    digits += _check_digit(digits)
    return " ".join(digits[at : at + _GROUP_DIGITS] for at in range(0, FINGERPRINT_DIGITS, _GROUP_DIGITS))


def _check_digit(digits: str) -> str:
    product = 10
    for digit in digits:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def why_mistyped(given: str, shown: str) -> str:
    """Return in words why a fingerprint that differs from the one shown is a slip; empty when it may be another key's.

    A slip is what no key has, by length, letters or check digit, or what differs in at most NEAR_DIGITS digits.
    """
    digits = given.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit()):
        return "the fingerprint given has something else than the digits 0 to 9"
    if len(digits) != FINGERPRINT_DIGITS:
        return f"the fingerprint given has {len(digits)} digits; one has {FINGERPRINT_DIGITS}, in 8 groups of 5"
    if _distance(digits, shown.replace(" ", "")) <= NEAR_DIGITS:
        return "the fingerprint given is that of the card but for a few digits"
    if _check_digit(digits[:-1]) != digits[-1]:
        return "the fingerprint given is nobody's: its last digit, which checks the others, does not fit them"
    return ""


def _distance(first: str, second: str) -> int:
    """Return how many digits must be changed, put in or left out to make one of the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for index, one in enumerate(first, 1):
        left = index
        previous, row = row, [index]
        for at, other in enumerate(second, 1):
            left = min(left + 1, previous[at] + 1, previous[at - 1] + (one != other))
            row.append(left)
    return row[-1]


def same_fingerprint(first: str, second: str) -> bool:
    """Tell whether two fingerprints are equal but for spaces and dashes. Anything malformed equals nothing."""
    one, other = (text.replace(" ", "").replace("-", "") for text in (first, second))
    for text in (one, other):
        # isdigit alone takes the digits of other scripts; nobody's tool writes those.
        if len(text) != FINGERPRINT_DIGITS or not (text.isascii() and text.isdigit()):
            return False
        if _check_digit(text[:-1]) != text[-1]:
            return False
    return hmac.compare_digest(one, other)


def _signature(card: bytes, key: SignKey, purpose: KeyPurpose) -> CardSignature:
    frame = framing.pae(framing.CARD, _LABELS[purpose], card)
    return CardSignature(purpose=purpose, public_key=key.verify_key.public, signature=key.sign(frame))


def sign_card(card: Card, *, identity: SignKey, previous_identity: SignKey | None, codec: CardCodec) -> SignedCard:
    """Sign a card with its identity key, and with the one before when that has just been replaced."""
    data = codec.encode_card(card)
    signers = [identity] if previous_identity is None else [identity, previous_identity]
    return SignedCard(card=data, signatures=tuple(_signature(data, key, KeyPurpose.IDENTITY) for key in signers))


def recovery_sign_card(card: Card, *, recovery: SignKey, identity: SignKey, codec: CardCodec) -> SignedCard:
    """Sign a card with the recovery key, when the identity key before is lost or stolen."""
    data = codec.encode_card(card)
    return SignedCard(
        card=data,
        signatures=(
            _signature(data, identity, KeyPurpose.IDENTITY),
            _signature(data, recovery, KeyPurpose.RECOVERY),
        ),
    )


def verify_first_card(signed: SignedCard, codec: CardCodec) -> VerifiedCard:
    """Return a card that is whole and signed by its own identity key. Whose card it is, the fingerprint must tell.

    Raises:
        CardRejected: It is not.
    """
    if not 0 < len(signed.card) <= MAX_CARD_BYTES:
        raise CardRejected("the card is empty or too large")
    try:
        card = codec.decode_card(signed.card)
    except Rejected as error:
        raise CardRejected(f"the card cannot be read: {error.text}") from None
    identity = _check_keys(card)
    signers = _verify_signatures(signed)
    if (KeyPurpose.IDENTITY, identity) not in signers:
        raise CardRejected("the card is not signed by the identity key in it")
    return VerifiedCard(card=card, digest=card_digest(signed.card), signed=signed)


def verify_next_card(signed: SignedCard, *, current: VerifiedCard, codec: CardCodec) -> VerifiedCard:
    """Return a card that follows the partner's current one.

    Raises:
        CardRejected: It is not whole, not of this partner, not newer, or not signed by whom the current card names.
    """
    verified = verify_first_card(signed, codec)
    card, before = verified.card, current.card
    if card.partner != before.partner:
        raise CardRejected("the card is another partner's")
    signers = {(signature.purpose, signature.public_key) for signature in signed.signatures}
    recovered = any((KeyPurpose.RECOVERY, key) in signers for key in _public(before, KeyPurpose.RECOVERY))
    if verified.recovery_signed and not recovered:
        raise CardRejected("the card is signed by a recovery key that the card before does not name")

    replaces = card.sequence == before.sequence and recovered and not current.recovery_signed
    if card.sequence <= before.sequence and not replaces:
        raise CardRejected("the card is not newer than the one known")
    if recovered:
        return verified
    if card.sequence - before.sequence > MAX_STEP:
        raise CardRejected("the card is too far ahead of the one known")
    if not any((KeyPurpose.IDENTITY, key) in signers for key in _public(before, KeyPurpose.IDENTITY)):
        raise CardRejected("the card is not signed by the identity key before")
    if card.sequence == before.sequence + 1 and card.previous_digest != current.digest:
        raise CardRejected("the card does not follow the one known")
    # A stolen identity key must not be able to take the way back away.
    if (recovery := _public(before, KeyPurpose.RECOVERY)) and _public(card, KeyPurpose.RECOVERY) != recovery:
        raise CardRejected("only the recovery key can change the recovery key")
    return verified


def _public(card: Card, purpose: KeyPurpose) -> frozenset[bytes]:
    return frozenset(key.public_key for key in card.keys_for(purpose) if key.revoke_ms is None)


def _check_keys(card: Card) -> bytes:
    """Return the identity key of a card whose keys are sound."""
    if len(card.keys) > MAX_KEYS or len({key.public_key for key in card.keys}) != len(card.keys):
        raise CardRejected("the card lists too many keys, or one twice")
    for key in card.keys:
        if key.start_ms >= key.end_ms:
            raise CardRejected("a key of the card ends before it starts")
        try:
            if key.purpose is KeyPurpose.LOG_COSIGN:
                MLDSAVerifyKey(key.public_key)
            elif key.purpose is KeyPurpose.SEAL:
                SealKey(key.public_key)
            else:
                VerifyKey(key.public_key)
        except FieldInvalid as error:
            raise CardRejected(f"a key of the card cannot be used: {error.text}") from None
    identity = card.keys_for(KeyPurpose.IDENTITY)
    if len(identity) != 1 or identity[0].revoke_ms is not None:
        raise CardRejected("the card must hold exactly one identity key, not revoked")
    if len(card.keys_for(KeyPurpose.RECOVERY)) > 1:
        raise CardRejected("the card holds more than one recovery key")
    return identity[0].public_key


def _verify_signatures(signed: SignedCard) -> frozenset[tuple[KeyPurpose, bytes]]:
    if not 0 < len(signed.signatures) <= MAX_SIGNATURES:
        raise CardRejected(f"a card has 1 to {MAX_SIGNATURES} signatures")
    for signature in signed.signatures:
        label = _LABELS.get(signature.purpose)
        if label is None:
            raise CardRejected("the card is signed by a key that may not sign cards")
        try:
            VerifyKey(signature.public_key).verify(framing.pae(framing.CARD, label, signed.card), signature.signature)
        except (FieldInvalid, EnvelopeRejected):
            raise CardRejected("a signature on the card does not verify") from None
    return frozenset((signature.purpose, signature.public_key) for signature in signed.signatures)


def verify_key_at(card: Card, key_id_: bytes, purpose: KeyPurpose, now_ms: int, grace_ms: int) -> VerifyKey:
    """Return the key of a card with this id, if what it signed is to be believed now.

    Validity is judged at receipt: never before its start, never after revocation, after its end only within the grace.

    Raises:
        EnvelopeRejected: There is no such key, or it does not count now.
    """
    for key in card.keys:
        if key.purpose is purpose and len(key.public_key) == VERIFY_KEY_BYTES and key_id(key.public_key) == key_id_:
            if not key.start_ms <= now_ms < key.end_ms + grace_ms or _revoked(key, now_ms):
                raise EnvelopeRejected("signing key validity")
            return VerifyKey(key.public_key)
    raise EnvelopeRejected("signing key")


def seal_key_of(card: Card, now_ms: int) -> SealKey:
    """Return the newest encryption key of a card that is valid now.

    Raises:
        CardRejected: There is none.
    """
    usable = [
        key
        for key in card.keys_for(KeyPurpose.SEAL)
        if len(key.public_key) == SEAL_KEY_BYTES and key.start_ms <= now_ms < key.end_ms and not _revoked(key, now_ms)
    ]
    if not usable:
        raise CardRejected("the card holds no encryption key that is valid now")
    return SealKey(max(usable, key=lambda key: key.start_ms).public_key)


def _revoked(key: CardKey, now_ms: int) -> bool:
    return key.revoke_ms is not None and key.revoke_ms <= now_ms
