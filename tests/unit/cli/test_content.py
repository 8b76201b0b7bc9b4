"""Contents of cases for people and programs: every kind is told, nothing secret is."""

import json

import pytest
from concord.v1 import exchange_service_pb2, message_pb2

from gateway.cli.content import WITHHELD, case_name, content_data, content_lines, heading
from gateway.cli.views import message_data
from gateway.rpc.convert.message import body_to_proto
from tests.fixtures.cases import ANSWER, CONTENTS, DECISION, OPERATIONS, OUTCOME, REFERRAL, REQUEST, body


@pytest.mark.parametrize("content", CONTENTS, ids=lambda item: type(item).__name__)
def test_every_content_is_told_in_words_and_as_data(content):
    whole = body_to_proto(body(content))
    name = case_name(whole)
    message = getattr(whole, name)
    lines = list(content_lines(message, "th"))
    assert lines
    assert all(label and not label.startswith("_") for _, label, _ in lines)
    told = json.dumps(content_data(message), ensure_ascii=False) + "".join(value for _, _, value in lines)
    for attachment in getattr(content, "attachments", ()):
        assert attachment.key.hex() not in told
        assert attachment.sha256.hex() in told
        assert WITHHELD in told
    view = exchange_service_pb2.MessageView(body=whole)
    assert list(message_data(view, with_body=True)["content"]) == [name]
    assert "content" not in message_data(view, with_body=False)
    assert heading(whole)


def test_headings_say_what_it_is_and_nothing_of_anybody():
    told = {content: heading(body_to_proto(body(content))) for content in (REFERRAL, DECISION, OUTCOME, *OPERATIONS)}
    assert told[REFERRAL] == "referral: evacuation, rescue, repatriation, consular access"
    assert told[DECISION] == "decision: accept with conditions"
    assert told[OUTCOME] == "answer: rescued"
    assert [told[item] for item in OPERATIONS] == [
        "operation: opening",
        "operation: membership",
        "operation: situation",
        "operation: links",
        "operation: closing",
        "operation: turn",
    ]
    assert heading(body_to_proto(body(ANSWER))) == "answer"
    assert heading(body_to_proto(body(REQUEST))).startswith("request: preserve, extend preservation, traffic data")
    for empty in (message_pb2.Body(), message_pb2.Body(ping=message_pb2.Ping(nonce=bytes(16)))):
        assert heading(empty) == case_name(empty) == ""


def test_texts_are_told_in_the_language_asked_for_and_else_in_one_that_is_there():
    whole = body_to_proto(body(REFERRAL)).referral
    for language, words in (("th", "[th] ถูกทำร้าย"), ("th-TH", "[th] ถูกทำร้าย"), ("fr", "[en] words")):
        assert (0, "danger", words) in list(content_lines(whole, language))
    del whole.danger[1]
    assert (0, "danger", "[th] ถูกทำร้าย") in list(content_lines(whole, "fr"))


def test_a_number_of_a_newer_gateway_stays_a_number():
    whole = body_to_proto(body(REFERRAL)).referral
    whole.case_type = 99
    assert content_data(whole)["case_type"] == "99"
    assert (0, "case type", "99") in list(content_lines(whole, "en"))
