import dataclasses

import pytest
from concord.v1 import envelope_pb2, federation_service_pb2, message_pb2, partner_pb2

from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge
from gateway.ids import AuthorityId, BatchId, EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.alert import (
    Alert,
    AlertCertainty,
    AlertInfo,
    AlertReference,
    AlertSeverity,
    AlertType,
    AlertUrgency,
    Area,
    Circle,
    Finding,
    NamedValue,
    Point,
    Provenance,
    Resource,
    SourceTime,
)
from gateway.model.envelope import Envelope, MerklePath, Outcome, Receipt, ReceiptBatch, ReceiptProof
from gateway.model.header import Header, Kind, Mode, RecipientRecord, Supersedes, Urgency
from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Ping, Tlp
from gateway.model.partner import Card, CardKey, CardSignature, Desk, KeyPurpose, LocalName, SignedCard
from gateway.model.text import LocalizedText, TextOrigin
from gateway.ports import Codec, Deferral, FrameAnswer, OutgoingFrame
from gateway.rpc.convert import WireCodec, draft_from_proto
from gateway.rpc.convert.envelope import answer_from_proto, answer_to_proto, frame_from_proto, frame_to_proto
from gateway.rpc.convert.field import check_rules
from gateway.rpc.convert.message import MAX_BODY_BYTES, draft_to_proto
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto

CODEC: Codec = WireCodec()
TH, VN = PartnerId("th"), PartnerId("vn")
NOW = 1_795_000_000_123

HEADER = Header(
    suite=1,
    envelope_id=EnvelopeId(b"e" * 16),
    message_id=MessageId(b"m" * 16),
    sender=TH,
    signing_key_id=b"k" * 8,
    kind=Kind.ALERT,
    thread_id=ThreadId(b"t" * 16),
    in_reply_to=MessageId(b"r" * 16),
    supersedes=Supersedes(message_id=MessageId(b"s" * 16), content_commitment=b"c" * 32),
    mode=Mode.EXERCISE,
    urgency=Urgency.U1,
    create_ms=NOW,
    expire_ms=NOW + 1,
    content_commitment=b"c" * 32,
    key_commitment=b"d" * 32,
)
RECORD = RecipientRecord(
    recipient=VN,
    seal_key_id=b"k" * 8,
    batch_id=BatchId(b"b" * 16),
    encapsulation_digest=b"e" * 32,
    wrapped_key=b"w" * 48,
    previous_digest=b"p" * 32,
)
RECEIPT = Receipt(
    envelope_digest=b"d" * 32,
    outcome=Outcome.REFUSED,
    time_ms=NOW,
    reason="EXPIRED",
    log_position=7,
    log_leaf=b"l" * 32,
)
HANDLING = Handling(
    tlp=Tlp.GREEN,
    purpose="public_warning",
    onward=Onward.LISTED,
    onward_partners=(VN,),
    retain_until_ms=NOW + 5000,
    review_ms=NOW + 4000,
)
RING = (Point(1.5, 2.5), Point(1.5, 3.5), Point(2.5, 3.5), Point(1.5, 2.5))
ALERT = Alert(
    identifier="TH-1",
    source_sender="warning@example.th",
    sent_time=SourceTime(NOW, None),
    alert_type=AlertType.UPDATE,
    scope="Restricted",
    source="seismograph",
    restriction="desks",
    addresses=("vn", "la"),
    codes=("x",),
    note="ການເຕືອນໄພ",
    references=(AlertReference("a", "b", "2026-11-23T10:02:07-00:00"),),
    incidents=("flood",),
    infos=(
        AlertInfo(
            language="th",
            categories=("Geo", "evacuation_call"),
            event="แผ่นดินไหว",
            response_types=("Evacuate",),
            urgency=AlertUrgency.IMMEDIATE,
            severity=AlertSeverity.EXTREME,
            certainty=AlertCertainty.OBSERVED,
            audience="all",
            event_codes=(NamedValue("SAME", "EQW"),),
            effective_time=SourceTime(NOW, 420),
            onset_time=SourceTime(NOW + 1, 0),
            expire_time=SourceTime(NOW + 2, -60),
            expiry_by_policy=True,
            sender_name="TMD",
            headline="h",
            description="d\nd",
            instruction="i",
            web="https://example.th",
            contact="c",
            parameters=(NamedValue("p", "v"),),
            resources=(Resource(description="map", media_type="image/png", size_bytes=9, uri="u", digest="00"),),
            areas=(
                Area(
                    description="north",
                    polygons=(RING,),
                    circles=(Circle(Point(0.0, 0.0), 10.5),),
                    geocodes=(NamedValue("iso", "TH-50"),),
                    altitude_ft=0.0,
                    ceiling_ft=100.0,
                ),
            ),
        ),
    ),
    advisory_level=0,
    advisory_words=(LocalizedText("zh-Hans", "注意", TextOrigin.ORIGINAL, True),),
    provenance=Provenance(
        signature="valid_expired",
        connector="cap",
        media_type="application/cap+xml",
        original=b"<a/>",
        findings=(Finding("c", "p", "d"),),
    ),
)
BODY = Body(
    authority=AuthorityId("th/early-warning"),
    handling=HANDLING,
    legal_basis=(LegalBasis("ASEAN-TIP", "14"),),
    content=ALERT,
)
PING = dataclasses.replace(BODY, content=Ping(b"n" * 16))
CARD = Card(
    partner=TH,
    sequence=2,
    previous_digest=b"p" * 32,
    create_ms=NOW,
    names=(LocalName("th", "ไทย"),),
    keys=(
        CardKey(purpose=KeyPurpose.IDENTITY, public_key=b"i" * 32, start_ms=0, end_ms=NOW, revoke_ms=0),
        CardKey(purpose=KeyPurpose.SEAL, public_key=b"s" * 1216, start_ms=1, end_ms=NOW, revoke_ms=None),
    ),
    tls_roots=(b"der",),
    endpoints=("gateway.example.th:7443",),
    desks=(
        Desk(
            id="th/police/desk",
            names=(LocalName("en", "Desk"),),
            telephone="+6621",
            time_zone="Asia/Bangkok",
            languages=("th",),
        ),
    ),
    time_zone="Asia/Bangkok",
    languages=("th", "en"),
    kinds=("alert",),
    suites=(1,),
)
SIGNED = SignedCard(card=b"card", signatures=(CardSignature(KeyPurpose.IDENTITY, b"i" * 32, b"s" * 64),))


def draft(**changes: object) -> Draft:
    values: dict[str, object] = {
        "body": BODY,
        "body_bytes": CODEC.encode_body(BODY),
        "recipients": (VN,),
        "mode": Mode.ACTUAL,
        "urgency": Urgency.U0,
        "expire_ms": NOW,
        "thread_id": ThreadId(b"t" * 16),
        "in_reply_to": MessageId(b"r" * 16),
        "supersedes": Supersedes(message_id=MessageId(b"s" * 16), content_commitment=b"c" * 32),
    }
    return Draft(**(values | changes))  # type: ignore[arg-type]


def varied(value: bytes, message: type, **changes: object) -> bytes:
    """Return an encoding with fields changed."""
    parsed = message.FromString(value)  # type: ignore[attr-defined]
    for name, item in changes.items():
        setattr(parsed, name, item)
    result: bytes = parsed.SerializeToString()
    return result


def test_everything_encoded_decodes_to_the_same_value() -> None:
    assert CODEC.decode_header(CODEC.encode_header(HEADER)) == HEADER
    first = dataclasses.replace(HEADER, in_reply_to=None, supersedes=None)
    assert CODEC.decode_header(CODEC.encode_header(first)) == first
    assert CODEC.decode_record(CODEC.encode_record(RECORD)) == RECORD
    assert CODEC.decode_receipt(CODEC.encode_receipt(RECEIPT)) == RECEIPT
    assert CODEC.decode_card(CODEC.encode_card(CARD)) == CARD
    assert CODEC.decode_body(CODEC.encode_body(BODY)) == BODY
    assert CODEC.decode_body(CODEC.encode_body(PING)) == PING


def test_sparse_values_keep_absent_apart_from_zero() -> None:
    bare = dataclasses.replace(
        BODY,
        handling=Handling(tlp=Tlp.UNSPECIFIED, purpose="", onward=Onward.UNSPECIFIED),
        legal_basis=(),
        content=Alert(
            identifier="x", source_sender="y", sent_time=SourceTime(0, 0), alert_type=AlertType.ALERT, scope=""
        ),
    )
    decoded = CODEC.decode_body(CODEC.encode_body(bare))
    assert decoded == bare
    assert isinstance(decoded.content, Alert)
    assert decoded.content.advisory_level is None
    assert decoded.content.sent_time == SourceTime(0, 0)


def test_every_field_of_the_model_is_filled_in_the_samples() -> None:
    """A field added to the model and forgotten here or in the conversion shows up as a default."""
    info = ALERT.infos[0]
    for value in (ALERT, info, info.areas[0], BODY, HANDLING, CARD):
        for field in dataclasses.fields(value):
            assert getattr(value, field.name) not in ("", (), None), f"{type(value).__name__}.{field.name}"


def test_encoding_is_the_same_each_time() -> None:
    assert CODEC.encode_body(BODY) == CODEC.encode_body(CODEC.decode_body(CODEC.encode_body(BODY)))


@pytest.mark.parametrize(
    "decode",
    [CODEC.decode_header, CODEC.decode_record, CODEC.decode_receipt, CODEC.decode_card, CODEC.decode_body],
)
def test_junk_is_refused(decode: object) -> None:
    for junk in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe" * 3):
        with pytest.raises((MessageMalformed, FieldInvalid)):
            decode(junk)  # type: ignore[operator]
    with pytest.raises((MessageMalformed, FieldInvalid)):
        decode(b"")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("decode", "max_bytes"),
    [
        (CODEC.decode_header, 1024),
        (CODEC.decode_record, 512),
        (CODEC.decode_receipt, 256),
        (CODEC.decode_card, 65_536),
        (CODEC.decode_body, MAX_BODY_BYTES),
    ],
)
def test_oversized_bytes_are_refused_before_parsing(decode: object, max_bytes: int) -> None:
    with pytest.raises(MessageMalformed, match="at most"):
        decode(b"\xff" * (max_bytes + 1))  # type: ignore[operator]


def test_fields_not_known_here_are_refused_at_any_depth() -> None:
    unknown = b"\x9a\x3f\x03abc"  # field 1011, three bytes
    for decode, data in (
        (CODEC.decode_header, CODEC.encode_header(HEADER)),
        (CODEC.decode_record, CODEC.encode_record(RECORD)),
        (CODEC.decode_receipt, CODEC.encode_receipt(RECEIPT)),
        (CODEC.decode_body, CODEC.encode_body(BODY)),
    ):
        with pytest.raises(MessageMalformed, match="does not know"):
            decode(data + unknown)
    body = message_pb2.Body.FromString(CODEC.encode_body(BODY))
    body.alert.infos[0].areas[0].MergeFromString(unknown)
    with pytest.raises(MessageMalformed, match="does not know"):
        CODEC.decode_body(body.SerializeToString())
    message = draft_to_proto(draft())
    message.body.handling.MergeFromString(unknown)
    with pytest.raises(MessageMalformed, match="does not know"):
        draft_from_proto(message)


def test_a_newer_card_is_read_all_the_same() -> None:
    assert CODEC.decode_card(CODEC.encode_card(CARD) + b"\x9a\x3f\x03abc") == CARD


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"envelope_id": b"e" * 15}, "header.envelope_id"),
        ({"sender": "TH"}, "header.sender"),
        ({"sender": "t\u04bb"}, "header.sender"),
        ({"sender": "th\n"}, "header.sender"),
        ({"kind": 0}, "header.kind"),
        ({"kind": 99}, "header.kind"),
        ({"mode": 4}, "header.mode"),
        ({"urgency": 5}, "header.urgency"),
        ({"in_reply_to": b"r"}, "header.in_reply_to"),
        ({"supersedes_id": b""}, "header.supersedes_id"),
        ({"supersedes_commitment": b"c"}, "header.supersedes_commitment"),
        ({"content_commitment": b""}, "header.content_commitment"),
    ],
)
def test_a_header_with_a_bad_field_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        CODEC.decode_header(varied(CODEC.encode_header(HEADER), envelope_pb2.Header, **changes))
    assert caught.value.field == field


@pytest.mark.parametrize(("seconds", "nanos"), [(-1, 0), (253_402_300_800, 0), (1, -1), (1, 1_000_000_000)])
def test_an_impossible_time_is_refused(seconds: int, nanos: int) -> None:
    message = envelope_pb2.Receipt.FromString(CODEC.encode_receipt(RECEIPT))
    message.time.seconds, message.time.nanos = seconds, nanos
    with pytest.raises(FieldInvalid) as caught:
        CODEC.decode_receipt(message.SerializeToString())
    assert caught.value.field == "receipt.time"


def test_a_time_finer_than_a_millisecond_is_cut_off() -> None:
    message = envelope_pb2.Receipt.FromString(CODEC.encode_receipt(RECEIPT))
    message.time.nanos += 999_999
    assert CODEC.decode_receipt(message.SerializeToString()).time_ms == NOW


def test_a_missing_time_is_refused() -> None:
    message = envelope_pb2.Receipt.FromString(CODEC.encode_receipt(RECEIPT))
    message.ClearField("time")
    with pytest.raises(FieldInvalid) as caught:
        CODEC.decode_receipt(message.SerializeToString())
    assert caught.value.field == "receipt.time"


def test_numbers_that_are_no_numbers_are_refused() -> None:
    for value in (float("nan"), float("inf"), 91.0):
        body = message_pb2.Body.FromString(CODEC.encode_body(BODY))
        body.alert.infos[0].areas[0].polygons[0].points[2].latitude = value
        with pytest.raises(FieldInvalid) as caught:
            CODEC.decode_body(body.SerializeToString())
        assert caught.value.field == "body.alert.infos[0].areas[0].polygons[0].points[2].latitude"


def test_a_body_without_content_or_of_another_schema_is_refused() -> None:
    for changes in ({"schema_version": 2}, {"schema_version": 0}, {"authority": "th/Police"}):
        with pytest.raises(FieldInvalid):
            CODEC.decode_body(varied(CODEC.encode_body(BODY), message_pb2.Body, **changes))
    body = message_pb2.Body.FromString(CODEC.encode_body(BODY))
    body.ClearField("alert")
    with pytest.raises(FieldInvalid) as caught:
        CODEC.decode_body(body.SerializeToString())
    assert caught.value.field.startswith("body")


def test_encoding_a_body_no_receiver_would_take_is_refused() -> None:
    with pytest.raises(FieldInvalid) as caught:
        CODEC.encode_body(dataclasses.replace(BODY, content=Ping(b"short")))
    assert caught.value.field == "body.ping.nonce"


def test_a_draft_keeps_the_bytes_of_its_body() -> None:
    original = draft()
    assert draft_from_proto(draft_to_proto(original)) == original
    plain = draft(expire_ms=None, thread_id=None, in_reply_to=None, supersedes=None)
    assert draft_from_proto(draft_to_proto(plain)) == plain


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d.ClearField("body"), "body"),
        (lambda d: d.ClearField("recipients"), "recipients"),
        (lambda d: d.recipients.append("vn"), "recipients"),
        (lambda d: d.recipients.append("VN"), "recipients[1]"),
        (lambda d: setattr(d, "mode", 0), "mode"),
        (lambda d: setattr(d, "urgency", 17), "urgency"),
        (lambda d: setattr(d, "thread_id", b"t" * 17), "thread_id"),
        (lambda d: setattr(d, "in_reply_to", b"t"), "in_reply_to"),
        (lambda d: setattr(d, "supersedes_commitment", b""), "supersedes_commitment"),
        (lambda d: setattr(d.expire_time, "seconds", -5), "expire_time"),
        (lambda d: setattr(d.body.alert, "identifier", ""), "body.alert.identifier"),
        (lambda d: setattr(d.body.handling, "tlp", 9), "body.handling.tlp"),
        (lambda d: d.body.handling.onward_partners.append("x"), "body.handling.onward_partners"),
    ],
)
def test_a_draft_with_a_bad_field_is_refused_by_name(change: object, field: str) -> None:
    message = draft_to_proto(draft())
    change(message)  # type: ignore[operator]
    with pytest.raises(FieldInvalid) as caught:
        draft_from_proto(message)
    assert caught.value.field == field


def test_a_body_too_large_to_seal_is_refused() -> None:
    message = draft_to_proto(draft())
    message.body.alert.provenance.original = b"x" * 1_900_000
    for _ in range(2):
        message.body.alert.infos.add(language="en", description="d" * 60_000)
    with pytest.raises(MessageTooLarge) as caught:
        draft_from_proto(message)
    assert caught.value.max_bytes == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: setattr(c.keys[0], "public_key", b"i" * 33), "card.keys[0].public_key"),
        (lambda c: setattr(c.keys[1], "public_key", b"s" * 32), "card.keys[1].public_key"),
        (lambda c: setattr(c.keys[0], "purpose", 9), "card.keys[0].purpose"),
        (lambda c: c.keys[0].ClearField("end_time"), "card.keys[0].end_time"),
        (lambda c: setattr(c, "sequence", 0), "card.sequence"),
        (lambda c: setattr(c, "previous_digest", b"p"), "card.previous_digest"),
        (lambda c: c.ClearField("tls_roots"), "card.tls_roots"),
        (lambda c: c.endpoints.append("evil\u202e.example:1"), "card.endpoints[1]"),
        (lambda c: c.names.add(language="en", name="a\u202eb"), "card.names[1].name"),
        (lambda c: setattr(c, "time_zone", "Asia/Bang\u200bkok"), "card.time_zone"),
    ],
)
def test_a_card_with_a_bad_field_is_refused_by_name(change: object, field: str) -> None:
    message = partner_pb2.Card.FromString(CODEC.encode_card(CARD))
    change(message)  # type: ignore[operator]
    with pytest.raises(FieldInvalid) as caught:
        CODEC.decode_card(message.SerializeToString())
    assert caught.value.field == field


def test_a_signed_card_travels_as_it_is_and_only_identity_or_recovery_sign() -> None:
    assert signed_card_from_proto(signed_card_to_proto(SIGNED)) == SIGNED
    message = signed_card_to_proto(SIGNED)
    message.signatures[0].purpose = partner_pb2.KEY_PURPOSE_SEAL
    with pytest.raises(FieldInvalid):
        signed_card_from_proto(message)


def envelope(encapsulation: bytes, record: bytes | None = None) -> Envelope:
    import hashlib

    named = dataclasses.replace(RECORD, encapsulation_digest=hashlib.sha256(encapsulation).digest())
    return Envelope(
        header=CODEC.encode_header(HEADER),
        ciphertext=b"c",
        record=CODEC.encode_record(named) if record is None else record,
        record_path=MerklePath(0, 1, b""),
        batch_path=MerklePath(1, 2, b"h" * 32),
        signature=b"s" * 64,
        encapsulation=encapsulation,
    )


BATCH = ReceiptBatch(issuer=VN, signing_key_id=b"k" * 8, receipts=(b"r1", b"r2"), signature=b"s" * 64)


def test_a_frame_carries_each_encapsulation_once_and_gives_it_back() -> None:
    one, two = b"1" * 1168, b"2" * 1168
    frame = OutgoingFrame(sequence=3, envelopes=(envelope(one), envelope(two), envelope(one)), receipts=(BATCH,))
    message = frame_to_proto(frame)
    assert list(message.encapsulations) == [one, two]
    assert all(item.encapsulation == b"" for item in message.envelopes)
    assert frame_from_proto(message) == frame


def test_an_encapsulation_the_frame_lacks_leaves_its_envelope_without_and_spares_the_others() -> None:
    one, two = b"1" * 1168, b"2" * 1168
    frame = OutgoingFrame(sequence=1, envelopes=(envelope(one), envelope(two), envelope(b"", b"\xff")), receipts=())
    message = frame_to_proto(frame)
    del message.encapsulations[1]
    taken = frame_from_proto(federation_service_pb2.LinkRequest.FromString(message.SerializeToString()))
    assert [item.encapsulation for item in taken.envelopes] == [one, b"", b""]


def test_trace_contexts_travel_beside_envelopes_and_others_than_as_many_are_ignored() -> None:
    one = b"1" * 1168
    frame = OutgoingFrame(
        sequence=1, envelopes=(envelope(one), envelope(one)), receipts=(), traces=(b"", b"t" * 24 + b"\1")
    )
    message = frame_to_proto(frame)
    assert frame_from_proto(message) == frame
    assert b"t" * 24 not in b"".join(item.SerializeToString() for item in message.envelopes)
    message.trace_contexts.append(b"t" * 100_000)
    assert frame_from_proto(message) == dataclasses.replace(frame, traces=())
    message.trace_contexts.extend([b""] * 256)
    with pytest.raises(FieldInvalid):
        check_rules(message)
    assert frame_to_proto(dataclasses.replace(frame, traces=())).trace_contexts == []


def test_an_answer_travels_whole() -> None:
    proof = ReceiptProof(
        issuer=VN, signing_key_id=b"k" * 8, receipt=b"r", path=MerklePath(0, 1, b""), signature=b"s" * 64
    )
    full = FrameAnswer(
        sequence=9,
        receipts=BATCH,
        repeats=(proof,),
        deferrals=(Deferral(index=4, reason="KEY_RETIRED"),),
        card=SIGNED,
        receipts_stored=True,
    )
    bare = FrameAnswer(sequence=1, receipts=None, repeats=(), deferrals=(), card=None, receipts_stored=False)
    for answer in (full, bare):
        assert answer_from_proto(answer_to_proto(answer)) == answer


@pytest.mark.parametrize("reason", ["expired", "NO RECORD", "\x1b[2J", "EXPIRED\n", "A\x00B", "\u202eDERIPXE", "_X"])
def test_a_receipt_whose_reason_is_no_word_of_a_catalogue_is_refused(reason: str) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        CODEC.decode_receipt(CODEC.encode_receipt(dataclasses.replace(RECEIPT, reason=reason)))
    assert refusal.value.field == "receipt.reason"
