"""Headers, records and receipts are checked by hand where they are converted: as strictly as their .proto declares."""

import pytest
from concord.v1 import envelope_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid
from gateway.rpc.convert.envelope import decode_header, decode_receipt, decode_record
from gateway.rpc.convert.field import check_rules

LENGTHS = (0, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49)
RIGHT = {"envelope_id": 16, "message_id": 16, "thread_id": 16, "batch_id": 16, "signing_key_id": 8, "seal_key_id": 8}
RIGHT |= {"content_commitment": 32, "key_commitment": 32, "encapsulation_digest": 32, "envelope_digest": 32}
RIGHT |= {"wrapped_key": 48}
CODES = ("th", "", "t", "TH", "tha", "t1", "th\n", "é", "ть")
REASONS = ("", "KEY_RETIRED", "A", "A" * 63, "A" * 64, "key", "A-B", "A\n", "А")
TIMES = (None, Timestamp(), Timestamp(seconds=1_790_000_000, nanos=5_000_000))


def mostly(right, others):
    """The right value far more often, so that one wrong field is met alone."""
    return st.one_of(*[st.just(right)] * 12, st.sampled_from(others))


def fields(kind: type) -> st.SearchStrategy[dict]:
    pools = {}
    for field in kind.DESCRIPTOR.fields:
        if field.name in RIGHT:
            pools[field.name] = mostly(bytes(RIGHT[field.name]), [bytes(length) for length in LENGTHS])
        elif field.name in {"sender", "recipient"}:
            pools[field.name] = mostly("th", CODES)
        elif field.name == "reason":
            pools[field.name] = mostly("", REASONS)
        elif field.enum_type is not None:
            pools[field.name] = mostly(1, range(-1, 10))
        elif field.message_type is not None:
            pools[field.name] = mostly(TIMES[2], TIMES)
    return st.fixed_dictionaries(pools)


@pytest.mark.parametrize(
    ("kind", "decode"),
    [(pb.Header, decode_header), (pb.RecipientRecord, decode_record), (pb.Receipt, decode_receipt)],
    ids=["header", "record", "receipt"],
)
@settings(max_examples=1500, deadline=None)
@given(data=st.data())
def test_what_is_checked_by_hand_is_what_is_declared(kind, decode, data):
    message = kind(**{name: value for name, value in data.draw(fields(kind)).items() if value is not None})
    declared = handmade = None
    try:
        check_rules(message, kind.DESCRIPTOR.name.lower())
    except FieldInvalid as error:
        declared = error.field
    try:
        decode(message.SerializeToString())
    except FieldInvalid as error:
        handmade = error.field
    assert (declared is None) == (handmade is None), (declared, handmade)


@pytest.mark.parametrize("kind", [pb.Header, pb.RecipientRecord, pb.Receipt])
def test_every_declared_rule_is_of_a_form_that_the_comparison_varies(kind):
    varied = {*RIGHT, "sender", "recipient", "reason"}
    for field in kind.DESCRIPTOR.fields:
        if field.GetOptions().ListFields() and field.enum_type is None and field.message_type is None:
            assert field.name in varied, field.full_name
