import random

import pytest
from concord.v1 import exchange_service_pb2, federation_service_pb2, message_pb2
from google.protobuf.message import DecodeError

from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge
from gateway.model.rules import check_body
from gateway.ports import Deferral, FrameAnswer, OutgoingFrame
from gateway.rpc.convert import draft_from_proto
from gateway.rpc.convert.envelope import answer_from_proto, answer_to_proto, frame_from_proto, frame_to_proto
from gateway.rpc.convert.field import check_rules
from gateway.rpc.convert.message import draft_to_proto
from tests.unit.rpc.test_convert import BATCH, BODY, CARD, CODEC, HEADER, PING, RECEIPT, RECORD, SIGNED, draft, envelope

REFUSED = (FieldInvalid, MessageMalformed, MessageTooLarge, DecodeError)
"""DecodeError where it is the guard that parses."""
ROUNDS = 1500


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return bytes that were an encoding once."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out) or 1)
        match rng.randrange(5):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + rng.randrange(1, 9)]
            case 2:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 3:
                out[at:at] = out[: rng.randrange(len(out) or 1)][:64]
            case 4:
                out = out[:at] or bytearray(b"\x00")
    return bytes(out)


def decode_body(data: bytes) -> None:
    check_body(CODEC.decode_body(data))


def decode_draft(data: bytes) -> None:
    message = message_pb2.Draft.FromString(data)
    draft_from_proto(message)


def decode_frame(data: bytes) -> None:
    message = federation_service_pb2.LinkRequest.FromString(data)
    check_rules(message)
    frame_from_proto(message)


def decode_answer(data: bytes) -> None:
    message = federation_service_pb2.LinkResponse.FromString(data)
    check_rules(message)
    answer_from_proto(message)


FRAME = frame_to_proto(OutgoingFrame(sequence=1, envelopes=(envelope(b"1" * 1168),), receipts=(BATCH,)))
ANSWER = answer_to_proto(
    FrameAnswer(
        sequence=1,
        receipts=BATCH,
        repeats=(),
        deferrals=(Deferral(index=1, reason="KEY_RETIRED"),),
        card=SIGNED,
        receipts_stored=True,
    )
)


@pytest.mark.parametrize(
    ("decode", "good"),
    [
        (CODEC.decode_header, CODEC.encode_header(HEADER)),
        (CODEC.decode_record, CODEC.encode_record(RECORD)),
        (CODEC.decode_receipt, CODEC.encode_receipt(RECEIPT)),
        (CODEC.decode_card, CODEC.encode_card(CARD)),
        (decode_body, CODEC.encode_body(BODY)),
        (decode_body, CODEC.encode_body(PING)),
        (decode_draft, draft_to_proto(draft()).SerializeToString()),
        (decode_frame, FRAME.SerializeToString()),
        (decode_answer, ANSWER.SerializeToString()),
    ],
    ids=["header", "record", "receipt", "card", "alert", "ping", "draft", "frame", "answer"],
)
def test_any_bytes_give_a_value_or_a_refusal(decode, good):
    rng = random.Random(len(good))
    taken = refused = 0
    for _ in range(ROUNDS):
        try:
            decode(mutated(good, rng))
            taken += 1
        except REFUSED:
            refused += 1
    assert taken + refused == ROUNDS
    assert refused > ROUNDS // 20  # else the bytes were not hostile enough to prove anything
    decode(good)


def test_a_refusal_never_repeats_the_content():
    secret = "Nguyễn Văn A"
    message = draft_to_proto(draft())
    message.body.alert.infos[0].headline = secret
    message.body.alert.identifier = secret * 200
    with pytest.raises(FieldInvalid) as caught:
        draft_from_proto(message)
    assert secret not in caught.value.text
    assert secret not in str(caught.value)


def test_deep_nesting_is_refused():
    # Nothing in the schema nests without end, so depth can only come from unknown groups.
    bomb = b"\x9b\x3f" * 200 + b"\x9c\x3f" * 200
    with pytest.raises(DecodeError):
        exchange_service_pb2.SubmitMessageRequest.FromString(bomb)
    with pytest.raises(MessageMalformed):
        CODEC.decode_body(bomb)
