"""Cases on the wire: every field both ways, a limit on every input, and nothing unstated."""

import re
import typing
from dataclasses import fields, is_dataclass, make_dataclass, replace
from enum import IntEnum
from typing import Any

import pytest
from buf.validate import validate_pb2
from concord.v1 import (
    alert_pb2,
    assistance_pb2,
    case_pb2,
    envelope_pb2,
    message_pb2,
    operation_pb2,
    person_pb2,
    reference_pb2,
    referral_pb2,
)
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid, GatewayError, MessageMalformed
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model import assistance, case, measure, operation, person, reference, referral, trafficking
from gateway.model.header import MAX_TIME_MS, Kind
from gateway.model.message import CaseContent
from gateway.model.person import Person, PersonName
from gateway.model.rules import check_draft
from gateway.model.text import LocalizedText
from gateway.rpc.convert.case import case_from_proto, case_to_proto
from gateway.rpc.convert.message import body_to_proto, decode_body, encode_body
from gateway.rpc.convert.mirror import Mirror
from tests.fixtures.cases import CONTENTS, NOW, REFERRAL, REQUEST, SUBJECT, attachment, body, draft, words
from tests.fixtures.changing import changed

FILES = (person_pb2, reference_pb2, referral_pb2, assistance_pb2, operation_pb2, case_pb2)
MODELS = (person, reference, referral, trafficking, assistance, measure, operation, case)
LAW = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KINDS = {
    "Referral": Kind.REFERRAL,
    "Request": Kind.REQUEST,
    "Operation": Kind.OPERATION,
    "Update": Kind.UPDATE,
    "CaseDecision": Kind.UPDATE,
    "Withdrawal": Kind.UPDATE,
    "UseReport": Kind.UPDATE,
    "Answer": Kind.ANSWER,
    "Recall": Kind.RECALL,
    "RecallConfirmation": Kind.RECALL,
}


def classes(kind: type) -> dict[str, type]:
    return {
        name: item
        for module in MODELS
        for name, item in vars(module).items()
        if isinstance(item, type) and item.__module__ == module.__name__ and issubclass(item, kind)
    }


def messages() -> list[Any]:
    return [item for file in FILES for item in file.DESCRIPTOR.message_types_by_name.values()]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda item: type(item).__name__)
def test_what_is_encoded_decodes_to_the_same(content: CaseContent) -> None:
    whole = body(content)
    assert whole.kind is KINDS[type(content).__name__]
    assert decode_body(encode_body(whole)) == whole


def test_samples_set_every_field_there_is() -> None:
    left = {(item.name, field.name) for item in messages() for field in item.fields}

    def visit(message: Message) -> None:
        for field, value in message.ListFields():
            left.discard((message.DESCRIPTOR.name, field.name))
            if field.message_type is not None:
                for item in value if field.is_repeated else [value]:
                    visit(item)

    for content in CONTENTS:
        visit(case_to_proto(content)[1])
    assert left == set()


def test_numbers_and_names_of_enumerations_are_those_of_the_protocol() -> None:
    ours = classes(IntEnum)
    theirs = {name: item for file in FILES for name, item in file.DESCRIPTOR.enum_types_by_name.items()}
    assert set(ours) == set(theirs)
    for name, enum in ours.items():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() + "_"
        wire = {value.name.removeprefix(prefix): value.number for value in theirs[name].values}
        assert wire.pop("UNSPECIFIED") == 0
        assert wire == {item.name: item.value for item in enum}
    assert {item.name: item.value for item in Kind} == {
        name.removeprefix("KIND_"): number for name, number in envelope_pb2.Kind.items() if number
    }


def rules(field: Any) -> Any:
    return field.GetOptions().Extensions[validate_pb2.field]


def bounded(text: Any) -> bool:
    """Whether the rules of a string end somewhere."""
    if text.HasField("max_bytes"):
        return True
    return text.HasField("pattern") and re._parser.parse(text.pattern).getwidth()[1] < 1000  # type: ignore[attr-defined]


def test_every_field_of_a_case_has_a_limit_and_every_enumeration_is_closed() -> None:
    loose = []
    for item in messages():
        for field in item.fields:
            rule = rules(field)
            if field.is_repeated:
                if not rule.repeated.HasField("max_items"):
                    loose.append(field.full_name)
                rule = rule.repeated.items
            if field.type == field.TYPE_STRING and not bounded(rule.string):
                loose.append(field.full_name)
            if field.type == field.TYPE_BYTES and not rule.bytes.HasField("len"):
                loose.append(field.full_name)
            if field.enum_type is not None and not rule.enum.defined_only:
                loose.append(field.full_name)
            if field.type in {field.TYPE_DOUBLE, field.TYPE_UINT64} and not rule.WhichOneof("type"):
                loose.append(field.full_name)
    assert loose == []


def refused(change: Any, content: CaseContent = REFERRAL) -> str:
    message = body_to_proto(body(content))
    change(message)
    with pytest.raises(FieldInvalid) as caught:
        decode_body(message.SerializeToString())
    return caught.value.field


def test_too_many_and_too_long_is_refused_by_field() -> None:
    for path, new, field in (
        ("persons", REFERRAL.persons * 257, "body.referral.persons"),
        ("persons[0].names", SUBJECT.names * 5, "body.referral.persons[0].names"),
        ("persons[0].names[0].full", "ก" * 342, "body.referral.persons[0].names[0].full"),
        ("summary", words() * 21, "body.referral.summary"),
        ("summary[0].text", "x" * 65_537, "body.referral.summary[0].text"),
        ("safe_contact.words", "x" * 4_097, "body.referral.safe_contact.words"),
        ("attachments", tuple(attachment(1) for _ in range(65)), "body.referral.attachments"),
        ("persons[0].reference", "p" * 65, "body.referral.persons[0].reference"),
        ("evacuation.head_counts[0].count", 10_000_001, "body.referral.evacuation.head_counts[0].count"),
    ):
        with pytest.raises(FieldInvalid) as caught:
            encode_body(body(changed(REFERRAL, path, new)))
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("persons[0].names[0].script", "thai"),
        ("persons[0].names[0].script", "Thai\n"),
        ("persons[0].nationalities[0]", "tha"),
        ("persons[0].telephones[0].number", "081-234-5678"),
        ("persons[0].telephones[0].number", "+66812345678\n"),
        ("persons[0].telephones[0].number", "+6681234567812345"),
        ("persons[0].documents[0].document_type", "X"),
        ("persons[0].documents[0].number", "AA 123"),
        ("persons[0].documents[0].mrz", "p<tha"),
        ("persons[0].languages[0]", "th_TH"),
        ("persons[0].places[0].cell", "not a cell"),
        ("persons[0].places[0].locode", "MM MYW"),
        ("trafficking.industries[0]", "V"),
        ("language", ""),
        ("hotline.call_reference", ""),
        ("safe_contact.time_zone", "../etc/passwd"),
        ("attachments[0].media_type", "text/html; charset=x"),
        ("attachments[0].media_type", "Text/HTML"),
        ("attachments[0].sha256", b"short"),
    ],
)
def test_forms_are_checked_on_the_wire(path: str, value: Any) -> None:
    with pytest.raises(FieldInvalid) as caught:
        encode_body(body(changed(REFERRAL, path, value)))
    assert caught.value.field == f"body.referral.{path}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("measures[3].particulars.amount.amount", "1e6"),
        ("measures[3].particulars.amount.amount", "01"),
        ("measures[3].particulars.amount.amount", "-1"),
        ("measures[3].particulars.amount.unit", "usd"),
        ("measures[0].measure_id", "M 1"),
        ("requesting.id", "th/"),
        ("contact.email", "nobody"),
    ],
)
def test_forms_of_requests_are_checked_on_the_wire(path: str, value: Any) -> None:
    with pytest.raises(FieldInvalid) as caught:
        encode_body(body(changed(REQUEST, path, value)))
    assert caught.value.field == f"body.request.{path}".replace("particulars", "assets")


def test_what_must_be_stated_is_refused_when_it_is_not() -> None:
    for path, clear in (
        ("body.referral.danger_now", lambda m: m.referral.ClearField("danger_now")),
        ("body.referral.case_type", lambda m: m.referral.ClearField("case_type")),
        ("body.referral.reporter", lambda m: m.referral.ClearField("reporter")),
        ("body.referral.screening", lambda m: m.referral.ClearField("screening")),
        ("body.referral.safe_contact", lambda m: m.referral.ClearField("safe_contact")),
        ("body.referral.persons[0].minor", lambda m: m.referral.persons[0].ClearField("minor")),
        ("body.referral.persons[0].protection", lambda m: m.referral.persons[0].ClearField("protection")),
        ("body.referral.persons[0].consent.give_time", lambda m: m.referral.persons[0].consent.ClearField("give_time")),
        ("body.referral.asks", lambda m: m.referral.ClearField("asks")),
        ("body.referral.asks", lambda m: m.referral.asks.append(m.referral.asks[0])),
        ("body.referral.asks[3]", lambda m: m.referral.asks.append(0)),
        ("body.referral.case_type", lambda m: setattr(m.referral, "case_type", 99)),
    ):
        assert refused(clear) == path
    assert refused(lambda m: m.request.measures[0].ClearField("preservation"), REQUEST) == (
        "body.request.measures[0].particulars"
    )


def test_another_content_or_a_field_of_a_later_version_is_refused() -> None:
    message = body_to_proto(body(REFERRAL))
    with pytest.raises(MessageMalformed):
        decode_body(message.SerializeToString() + b"\xfa\x3e\x00")
    inner = message.referral.persons[0].SerializeToString() + b"\xfa\x3e\x00"
    message.referral.persons[0].ParseFromString(inner)
    with pytest.raises(MessageMalformed):
        decode_body(message.SerializeToString())
    message = body_to_proto(body(REFERRAL))
    message.ping.nonce = bytes(16)
    assert not message.HasField("referral")
    with pytest.raises(FieldInvalid):
        decode_body(message_pb2.Body(schema_version=1, authority="th/x").SerializeToString())


class Another:
    """No value that travels."""


@pytest.mark.parametrize(
    ("shape", "message", "problem"),
    [
        ({"sender": PartnerId, "message_id": MessageId}, reference_pb2.MessageReference, "lacks content_commitment"),
        ({"reason": str}, case_pb2.Withdrawal, "repeated on one side"),
        ({"from_years": tuple[int, ...]}, person_pb2.AgeRange, "repeated on one side"),
        ({"script": str, "full": str, "family": str}, person_pb2.PersonName, "absent on the wire only"),
        ({"from_years": int, "to_years": int, "time_ms": str}, person_pb2.AgeRange, "instant on the wire only"),
        ({"relation": Another}, referral_pb2.Reporter, "no way to carry"),
        ({"place": str}, referral_pb2.Detention, "message on the wire only"),
        ({"entry": operation.OperationOpening | operation.Membership}, operation_pb2.Operation, "2 classes and 6"),
        ({"years": int}, person_pb2.AgeRange, "no field for years"),
    ],
)
def test_a_mirror_names_what_differs(shape: Any, message: Any, problem: str) -> None:
    model = make_dataclass("Model", shape.items())
    with pytest.raises(TypeError, match=problem):
        Mirror(model, message)


def test_a_mirror_refuses_shapes_that_differ() -> None:
    with pytest.raises(TypeError):
        Mirror(PersonName, person_pb2.Person)
    with pytest.raises(TypeError):
        Mirror(Person, person_pb2.PersonName)
    with pytest.raises(TypeError):
        Mirror(LocalizedText, alert_pb2.Point)


def test_the_rules_of_the_mirror_hold_without_those_of_the_protocol() -> None:
    for change, field in (
        (lambda m: m.ClearField("case_type"), "x.case_type"),
        (lambda m: setattr(m, "case_type", 99), "x.case_type"),
        (lambda m: m.ClearField("screening"), "x.screening"),
        (lambda m: m.asks.append(99), "x.asks[3]"),
        (lambda m: m.persons[0].consent.ClearField("give_time"), "x.persons[0].consent.give_time"),
        (lambda m: setattr(m.related[0], "message_id", b"1"), "x.related[0].message_id"),
        (lambda m: setattr(m.related[0], "sender", "Thailand"), "x.related[0].sender"),
        (lambda m: setattr(m.hotline.first_call_time, "seconds", -1), "x.hotline.first_call_time"),
    ):
        _, message = case_to_proto(REFERRAL)
        change(message)
        with pytest.raises(FieldInvalid) as caught:
            case_from_proto("referral", message, "x")
        assert caught.value.field.startswith(field.removesuffix(".sender"))


def test_the_mirror_wants_a_member_of_a_oneof() -> None:
    _, message = case_to_proto(REQUEST)
    message.measures[4].ClearField("service")
    with pytest.raises(FieldInvalid) as caught:
        case_from_proto("request", message, "x")
    assert caught.value.field == "x.measures[4].particulars"


def values(hint: Any, name: str) -> st.SearchStrategy[Any]:
    """Any value that a field of the model can have, whatever the rules say."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(values(arguments[0], name), max_size=1).map(tuple)
    if type(None) in arguments:
        return st.none() | values(arguments[0], name)
    if arguments:
        return st.one_of([values(item, name) for item in arguments])
    if is_dataclass(hint) and hint not in {MessageId, PartnerId, AuthorityId}:
        return whole(hint)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return st.sampled_from(hint)
    if hint is int:
        return st.integers(0, MAX_TIME_MS) if name.endswith("_ms") else st.integers(0, (1 << 32) - 1)
    return {
        # What is empty and what is absent are the same for digests and keys, so none of these is empty.
        bytes: st.binary(min_size=1, max_size=32),
        str: st.text(max_size=8),
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        MessageId: st.binary(min_size=16, max_size=16).map(MessageId),
        PartnerId: st.sampled_from(["th", "la"]).map(PartnerId),
    }[hint]


def whole(model: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(model)
    return st.builds(model, **{field.name: values(hints[field.name], field.name) for field in fields(model)})


ANY = st.deferred(lambda: st.one_of([whole(item) for item in typing.get_args(CaseContent)]))


@LAW
@given(ANY)
def test_any_content_comes_back_as_it_was(content: CaseContent) -> None:
    name, message = case_to_proto(content)
    again = type(message).FromString(message.SerializeToString(deterministic=True))
    assert case_from_proto(name, again, "x") == content


@LAW
@given(st.sampled_from(CONTENTS), st.data())
def test_damaged_bytes_give_a_body_or_a_typed_error(content: CaseContent, data: st.DataObject) -> None:
    wire = bytearray(encode_body(body(content)))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_body(bytes(wire))
    except GatewayError:
        return


def test_the_largest_referral_still_fits_or_is_refused_by_size() -> None:
    many = replace(
        REFERRAL,
        persons=tuple(replace(SUBJECT, reference=f"p{number}") for number in range(512)),
        reporter=replace(REFERRAL.reporter, person=""),
    )
    wire = encode_body(body(many))
    assert len(wire) < 2_000_000
    assert decode_body(wire) == body(many)


@LAW
@given(ANY)
def test_rules_give_no_other_error_whatever_the_values(content: CaseContent) -> None:
    try:
        check_draft(draft(content), NOW)
    except FieldInvalid as refused_for:
        assert refused_for.field
