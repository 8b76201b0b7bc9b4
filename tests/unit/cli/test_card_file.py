"""Card files: one way to write a card, everything else is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.card_file import BEGIN, END, MAX_FILE_BYTES, format_card_file, parse_card_file
from gateway.errors import FieldInvalid, GatewayError, MessageTooLarge

CARD = bytes(range(256)) * 3


def written(card: bytes = CARD) -> str:
    return format_card_file(card, partner="th", sequence=1, fingerprint="12345 67890")


@given(st.binary(min_size=1, max_size=5000))
def test_what_was_written_is_read_back(card):
    assert parse_card_file(written(card).encode()) == card


def test_line_ends_of_mail_programs_and_blank_lines_around_do_no_harm():
    assert parse_card_file(written().replace("\n", "\r\n").encode()) == CARD
    assert parse_card_file(b"\n\n" + written().encode() + b"\n\n") == CARD


def test_words_for_people_are_ignored():
    changed = written().replace("partner: th", "partner: la").replace("sequence: 1", "sequence: 99")
    assert parse_card_file(changed.encode()) == CARD


def refused(text: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        parse_card_file(text.encode())
    assert caught.value.field == "card"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.replace(BEGIN, "-----BEGIN CERTIFICATE-----"),
        lambda text: text.replace(END, ""),
        lambda text: text[:-60],
        lambda text: text + text,
        lambda text: "see attached:\n" + text,
        lambda text: text + "kind regards",
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("AAEC", "AAE!"),
        lambda text: text.replace("AAEC", "AA=="),
        lambda text: text.replace("AAEC", "AA EC"),
        lambda text: text.replace("partner: th", "partner"),
        lambda text: text.replace("partner: th", "partner: " + "t" * 300),
        lambda text: text.replace("partner: th\n", "a: b\n" * 40),
        lambda text: f"{BEGIN}\n\n{END}",
        lambda text: f"{BEGIN}\n\n\n{END}",
    ],
)
def test_changed_file_is_refused(change):
    refused(change(written()))


def test_missing_line_gives_other_bytes_which_the_signature_refuses():
    # The one change that base64 cannot see.
    lines = written().split("\n")
    assert parse_card_file("\n".join(lines[:6] + lines[7:]).encode()) != CARD


def test_second_spelling_of_the_same_bytes_is_refused():
    refused(f"{BEGIN}\na: b\n\naGl=\n{END}")
    assert parse_card_file(f"{BEGIN}\na: b\n\naGk=\n{END}".encode()) == b"hi"


@pytest.mark.parametrize(
    "text", ["\ufeff" + written(), written().replace("th", "th\u202e"), written().replace(" ", "\xa0")]
)
def test_characters_outside_ascii_are_refused(text):
    refused(text)


def test_oversized_file_is_refused_before_it_is_read():
    with pytest.raises(MessageTooLarge):
        parse_card_file(b"x" * (MAX_FILE_BYTES + 1))


@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_an_error_of_ours(data):
    for candidate in (data, BEGIN.encode() + b"\n" + data + b"\n" + END.encode()):
        with contextlib.suppress(GatewayError):
            assert isinstance(parse_card_file(candidate), bytes)
