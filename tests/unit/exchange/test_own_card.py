"""Our own card: kept while it says the same, renewed when it does not, and put in force again by the recovery key."""

import pytest

from gateway.config import packaged_partners_dir
from gateway.crypto.cards import verify_first_card, verify_next_card
from gateway.crypto.keyring import Keyring
from gateway.crypto.recovery import RecoveryKey
from gateway.errors import CardRejected, ConfigInvalid
from gateway.exchange.own_card import recover_card, renew_card
from gateway.ids import PartnerId
from gateway.profiles import load_profiles
from gateway.rpc.convert import WireCodec

NOW = 1_795_000_000_000
TH = PartnerId("th")
CODEC = WireCodec()
PROFILE = load_profiles(packaged_partners_dir())[TH]
HERE = ("127.0.0.1:7443",)
RECOVERY = RecoveryKey.generate(TH)
FIRST_RING, FIRST = renew_card(
    Keyring.generate(TH, NOW, recovery_public=RECOVERY.public), PROFILE, HERE, current=None, codec=CODEC, now_ms=NOW
)


def renewed(ring, *, current, endpoints=HERE):
    return renew_card(ring, PROFILE, endpoints, current=current, codec=CODEC, now_ms=NOW + 5000)


def recover(ring=FIRST_RING, *, recovery=RECOVERY, above=0):
    return recover_card(
        ring.recover(NOW + 1000), PROFILE, HERE, recovery=recovery, above=above, codec=CODEC, now_ms=NOW + 1000
    )


def test_card_that_says_the_same_is_kept():
    assert renewed(FIRST_RING, current=FIRST) == (FIRST_RING, FIRST)


def test_card_that_says_something_else_follows():
    ring, card = renewed(FIRST_RING, current=FIRST, endpoints=("127.0.0.1:1",))
    follows = verify_next_card(card, current=verify_first_card(FIRST, CODEC), codec=CODEC)
    assert (follows.card.sequence, ring.card_sequence) == (2, 2)


def test_gateway_that_starts_after_a_recovery_uses_the_card_that_the_recovery_key_signed():
    ring, card = recover()
    # The database still holds the card before.
    assert renewed(ring, current=FIRST) == (ring, card)
    assert renewed(ring, current=card) == (ring, card)
    follows = verify_next_card(card, current=verify_first_card(FIRST, CODEC), codec=CODEC)
    assert (follows.recovery_signed, follows.card.sequence) == (True, 2)


def test_card_after_the_recovered_one_is_signed_by_the_new_identity_key_alone():
    ring, card = recover()
    _, later = renewed(ring, current=FIRST, endpoints=("127.0.0.1:1",))
    follows = verify_next_card(later, current=verify_first_card(card, CODEC), codec=CODEC)
    assert (follows.card.sequence, follows.recovery_signed) == (3, False)
    # Who has not seen the recovered card cannot take it: it must be shown that one first.
    with pytest.raises(CardRejected):
        verify_next_card(later, current=verify_first_card(FIRST, CODEC), codec=CODEC)


def test_recovered_card_is_not_used_again_once_another_has_followed():
    ring, card = recover()
    ring, later = renewed(ring, current=card, endpoints=("127.0.0.1:1",))
    assert renewed(ring, current=later, endpoints=("127.0.0.1:1",)) == (ring, later)
    _, back = renewed(ring, current=later)
    assert verify_first_card(back, CODEC).card.sequence == 4


def test_recovery_goes_above_the_cards_of_a_thief():
    _, card = recover(above=41)
    assert verify_first_card(card, CODEC).card.sequence == 42
    _, card = recover(above=1)
    assert verify_first_card(card, CODEC).card.sequence == 2


@pytest.mark.parametrize(
    "recovery",
    [RecoveryKey.generate(TH), RecoveryKey(PartnerId("vn"), RECOVERY.key)],
    ids=["another key", "another partner's"],
)
def test_key_that_the_card_does_not_name_recovers_nothing(recovery):
    with pytest.raises(ConfigInvalid):
        recover(recovery=recovery)


def test_gateway_without_recovery_key_cannot_be_recovered():
    with pytest.raises(ConfigInvalid):
        recover(Keyring.generate(TH, NOW))
