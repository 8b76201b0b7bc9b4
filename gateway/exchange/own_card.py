"""Our own card: made from keyring, profile and settings, and renewed when any of them says something else."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.crypto.cards import card_digest, sign_card
from gateway.crypto.certificates import pem_to_der
from gateway.crypto.keyring import Keyring
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
    """
    wanted = Card(
        partner=keyring.partner,
        sequence=keyring.card_sequence + 1,
        previous_digest=keyring.card_digest,
        create_ms=now_ms,
        names=profile.names,
        keys=keyring.card_keys(),
        tls_roots=(pem_to_der(keyring.authority_certificate_pem),),
        endpoints=tuple(endpoints),
        desks=profile.desks,
        time_zone=profile.time_zone,
        languages=profile.languages,
        kinds=tuple(sorted({kind.name.lower() for agreement in profile.agreements for kind in agreement.kinds})),
        suites=(SUITE_1,),
    )
    if current is not None and card_digest(current.card) == keyring.card_digest:
        present = codec.decode_card(current.card)
        if (
            replace(
                present,
                sequence=wanted.sequence,
                previous_digest=wanted.previous_digest,
                create_ms=wanted.create_ms,
            )
            == wanted
        ):
            return keyring, current
    signed = sign_card(wanted, identity=keyring.identity, previous_identity=keyring.previous_identity, codec=codec)
    return keyring.with_card(wanted.sequence, card_digest(signed.card)), signed
