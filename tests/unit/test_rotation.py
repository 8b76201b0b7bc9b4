"""The keyring is looked after without anybody asking."""

from gateway.crypto.keyring import Keyring
from gateway.exchange.directory import KEY_GRACE_MS
from gateway.ids import PartnerId
from gateway.workers.rotation import tended

NOW = 1_790_000_000_000
DAY = 86_400_000
RING = Keyring.generate(PartnerId("th"), NOW)


def test_a_fresh_keyring_is_left_as_it_is():
    assert tended(RING, NOW, KEY_GRACE_MS) == RING


def test_an_encryption_key_is_replaced_before_it_ends_and_the_old_one_still_opens():
    later = tended(RING, NOW + 28 * DAY, KEY_GRACE_MS)
    assert later.seal[0].id != RING.seal[0].id
    assert RING.seal[0].id in later.open_keys(NOW + 28 * DAY, KEY_GRACE_MS)


def test_an_encryption_key_past_its_grace_is_destroyed():
    rotated = tended(RING, NOW + 28 * DAY, KEY_GRACE_MS)
    later = tended(rotated, NOW + 80 * DAY, KEY_GRACE_MS)
    old = next(held for held in later.seal if held.id == RING.seal[0].id)
    assert old.key is None
    assert RING.seal[0].id in later.retired(NOW + 80 * DAY, KEY_GRACE_MS)


def test_signing_keys_are_replaced_before_messages_could_outlive_them():
    later = tended(RING, NOW + 340 * DAY, KEY_GRACE_MS)
    assert later.envelope.verify_key.id != RING.envelope.verify_key.id
    assert later.receipt.verify_key.id != RING.receipt.verify_key.id
    assert later.identity.verify_key.id == RING.identity.verify_key.id
