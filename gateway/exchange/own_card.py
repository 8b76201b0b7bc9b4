"""Our own card: made from keyring, profile and settings, and renewed when any of them says something else."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.crypto.cards import card_digest, recovery_sign_card, sign_card
from gateway.crypto.certificates import pem_to_der
from gateway.crypto.keyring import Keyring
from gateway.crypto.recovery import RecoveryKey
from gateway.errors import ConfigInvalid
from gateway.model.header import SUITE_1
from gateway.model.partner import Card, Profile, SignedCard
from gateway.ports import Codec


def renew_card(
    keyring: Keyring,
    profile: Profile,
    endpoints: Sequence[str],
    *,
    current: SignedCard | None,
    codec: Codec,
    now_ms: int,
) -> tuple[Keyring, SignedCard]:
    """Return the card that should be in force, and the keyring that remembers its number.

    The current card is kept when it says the same: a number is used once, and partners are not troubled for nothing.
    After a recovery the card to keep is in the keyring, because the gateway has not seen it yet.
    """
    wanted = _card(keyring, profile, endpoints, keyring.card_sequence + 1, now_ms)
    for known in (current, keyring.recovered_card):
        if known is not None and card_digest(known.card) == keyring.card_digest:
            present = codec.decode_card(known.card)
            if _says_the_same(present, wanted):
                return keyring, known
    signed = sign_card(wanted, identity=keyring.identity, previous_identity=keyring.previous_identity, codec=codec)
    return keyring.with_card(wanted.sequence, card_digest(signed.card)), signed


def recover_card(
    keyring: Keyring,
    profile: Profile,
    endpoints: Sequence[str],
    *,
    recovery: RecoveryKey,
    above: int,
    codec: Codec,
    now_ms: int,
) -> tuple[Keyring, SignedCard]:
    """Return the card with which the recovery key puts a recovered keyring in force, and the keyring that keeps it.

    Args:
        above: The greatest number of a card that partners hold, when a thief has published some; else 0.

    Raises:
        ConfigInvalid: The recovery key is not the one that the partner's card names.
    """
    if recovery.partner != keyring.partner:
        raise ConfigInvalid(f"the recovery key is that of '{recovery.partner}', not of '{keyring.partner}'")
    if keyring.recovery_public is None:
        raise ConfigInvalid("the card of this gateway names no recovery key: partners would not believe this one")
    if recovery.public != keyring.recovery_public:
        raise ConfigInvalid("the recovery key is not the one that the card of this gateway names")
    wanted = _card(keyring, profile, endpoints, max(keyring.card_sequence, above) + 1, now_ms)
    signed = recovery_sign_card(wanted, recovery=recovery.key, identity=keyring.identity, codec=codec)
    return keyring.with_recovered(wanted.sequence, card_digest(signed.card), signed), signed


def _card(keyring: Keyring, profile: Profile, endpoints: Sequence[str], sequence: int, now_ms: int) -> Card:
    return Card(
        partner=keyring.partner,
        sequence=sequence,
        previous_digest=keyring.card_digest,
        create_ms=now_ms,
        names=profile.names,
        keys=keyring.card_keys(),
        tls_roots=tuple(pem_to_der(item) for item in keyring.authority_certificates_pem),
        endpoints=tuple(endpoints),
        desks=profile.desks,
        time_zone=profile.time_zone,
        languages=profile.languages,
        kinds=tuple(sorted({kind.name.lower() for agreement in profile.agreements for kind in agreement.kinds})),
        suites=(SUITE_1,),
    )


def _says_the_same(present: Card, wanted: Card) -> bool:
    numbered = replace(
        present, sequence=wanted.sequence, previous_digest=wanted.previous_digest, create_ms=wanted.create_ms
    )
    return numbered == wanted
