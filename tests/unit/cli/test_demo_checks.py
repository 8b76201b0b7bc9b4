"""What the demo verifies can fail: each check, for its own reason."""

import copy

import pytest
from concord.v1.exchange_service_pb2 import DeliveryState, MessageView

from gateway.cli.demo_checks import CHECK_WORDS, run_checks
from gateway.crypto.cards import sign_card, verify_first_card
from gateway.crypto.keyring import Keyring
from gateway.crypto.receipts import sign_receipts
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.model.partner import Card
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.envelope import receipt_proof_to_proto

NOW = 1_795_000_000_000
CODEC = WireCodec()
ORIGINAL = b"<alert/>"
COMMITMENT = b"c" * 32


class Receiver:
    """A recipient with its keys and card."""

    def __init__(self, code):
        self.partner = PartnerId(code)
        self.keyring = Keyring.generate(self.partner, NOW - 1000)
        card = Card(
            partner=self.partner,
            sequence=1,
            previous_digest=b"",
            create_ms=NOW - 1000,
            names=(),
            keys=self.keyring.card_keys(),
            tls_roots=(b"\x30",),
            endpoints=(),
            desks=(),
            time_zone="UTC",
            languages=("en",),
            kinds=("alert",),
            suites=(1,),
        )
        signed = sign_card(card, identity=self.keyring.identity, previous_identity=None, codec=CODEC)
        self.card = verify_first_card(signed, CODEC)

    def proof(self, digest=b"d" * 32, outcome=Outcome.RECEIVED):
        receipt = Receipt(envelope_digest=digest, outcome=outcome, time_ms=NOW, reason="", log_position=0, log_leaf=b"")
        key = self.keyring.receipt
        _, (proof,) = sign_receipts([receipt], issuer=self.partner, sign_key=key, codec=CODEC)
        return receipt_proof_to_proto(proof)


TH, LA = Receiver("th"), Receiver("la")


def seen_view():
    view = MessageView(mode=2, content_commitment=COMMITMENT)
    view.body.alert.provenance.original = ORIGINAL
    for language in ("zh-Hans", "en", "th", "lo"):
        view.body.alert.infos.add(language=language)
    return view


def world():
    deliveries = [DeliveryState(partner=str(r.partner), state="received", proof=r.proof()) for r in (TH, LA)]
    return {
        "original": ORIGINAL,
        "commitment": COMMITMENT,
        "sent": MessageView(mode=2, content_commitment=COMMITMENT, deliveries=deliveries),
        "seen": {"th": seen_view(), "la": seen_view()},
        "cards": {"th": TH.card, "la": LA.card},
        "now_ms": NOW,
    }


def failing(state):
    return {name for name, holds in run_checks(**state).items() if not holds}


def test_everything_holds_when_everything_is_right():
    assert failing(world()) == set()
    assert set(run_checks(**world())) <= set(CHECK_WORDS)


def forged(state):
    proof = state["sent"].deliveries[0].proof
    proof.signature = bytes(64)


def by_another_partner(state):
    state["sent"].deliveries[0].proof.CopyFrom(LA.proof())


def without_receipt(state):
    state["sent"].deliveries[0].ClearField("proof")


def recipient_missing(state):
    del state["sent"].deliveries[0]


def refused(state):
    state["sent"].deliveries[0].proof.CopyFrom(TH.proof(outcome=Outcome.REFUSED))


def of_another_envelope(state):
    state["sent"].deliveries[0].proof.CopyFrom(TH.proof(digest=b"e" * 32))


def another_body(state):
    state["seen"]["th"].content_commitment = b"x" * 32


def another_original(state):
    state["seen"]["la"].body.alert.provenance.original += b" "


def language_lost(state):
    del state["seen"]["la"].body.alert.infos[3]


def mode_changed(state):
    state["seen"]["th"].mode = 1


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (forged, "receipts_verified"),
        (by_another_partner, "receipts_verified"),
        (without_receipt, "receipts_verified"),
        (recipient_missing, "receipts_verified"),
        (refused, "receipts_verified"),
        (of_another_envelope, "receipts_name_one_envelope"),
        (another_body, "bodies_identical"),
        (another_original, "originals_identical"),
        (language_lost, "all_languages_arrived"),
        (mode_changed, "marked_exercise"),
    ],
)
def test_one_thing_wrong_fails_its_own_check(change, check):
    state = copy.deepcopy({key: value for key, value in world().items() if key != "cards"})
    state["cards"] = {"th": TH.card, "la": LA.card}
    change(state)
    assert failing(state) == {check}


def test_nothing_received_verifies_nothing():
    state = {**world(), "sent": MessageView(), "seen": {}}
    assert not any(run_checks(**state).values())
