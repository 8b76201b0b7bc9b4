"""What happens to a card whose fingerprint is not the one given."""

import pytest

from gateway.crypto.cards import fingerprint
from gateway.errors import FingerprintMismatch, FingerprintMistyped, PartnerUnknown
from gateway.ids import PartnerId
from tests.sim.nations import Nation, Network


async def test_a_slip_and_another_fingerprint_are_told_apart_and_neither_adds(tmp_path):
    network = Network()
    cn, th, la = [await Nation.start(code, tmp_path, network) for code in ("cn", "th", "la")]
    try:
        card, right = th.directory.own_card(), fingerprint(th.secrets.identity.verify_key.public)
        slip = right[:-2] + str((int(right[-2]) + 1) % 10) + right[-1]
        for given, refusal in (
            (slip, FingerprintMistyped),
            (right[:20], FingerprintMistyped),
            ("", FingerprintMistyped),
            (fingerprint(la.secrets.identity.verify_key.public), FingerprintMismatch),
        ):
            with pytest.raises(refusal):
                await cn.directory.add(card, given)
            with pytest.raises(PartnerUnknown):
                cn.directory.known(PartnerId("th"))
        await cn.directory.add(card, right)
        assert cn.directory.known(PartnerId("th")).fingerprint == right
    finally:
        for nation in (cn, th, la):
            await nation.stop()
