"""By what an alert is found again: CAP's three names for it, however their texts are written."""

import unicodedata
from dataclasses import replace

import pytest

from gateway.crypto.keys import KeyEncryptionKey
from gateway.exchange.alert_chains import MAX_REFERENCES, entry_of
from gateway.model.alert import AlertReference, SourceTime
from tests.sim.nations import alert_body

KEY = KeyEncryptionKey(b"k" * 32)
SENT_MS = 1_790_000_000_000
SENT = "2026-09-21T14:13:20+00:00"


def entry(identifier="a", *references, sender="desk@example.org", sent_ms=SENT_MS, key=KEY):
    from gateway.ids import PartnerId

    body = alert_body(PartnerId("th"), "flood", SENT_MS)
    content = replace(
        body.content,
        identifier=identifier,
        source_sender=sender,
        sent_time=SourceTime(sent_ms, 420),
        references=references,
    )
    return entry_of(replace(body, content=content), key)


def named(identifier="a", sender="desk@example.org", sent=SENT):
    (digest,) = entry("another", AlertReference(sender, identifier, sent)).references
    return digest


@pytest.mark.parametrize(
    "sent",
    [
        SENT, "2026-09-21T21:13:20+07:00", "2026-09-21T14:13:20Z", "2026-09-21T14:13:20",
        " 2026-09-21T14:13:20-00:00\n", "2026-09-21T14:13:20.999+00:00",
    ],
)  # fmt: skip
def test_one_instant_is_one_name_however_it_is_written(sent):
    assert named(sent=sent) == entry().key


@pytest.mark.parametrize("sent_ms", [SENT_MS, SENT_MS + 1, SENT_MS + 999])
def test_fractions_of_a_second_do_not_hide_an_alert(sent_ms):
    # A system hands it in with milliseconds; CAP names it without.
    assert entry(sent_ms=sent_ms).key == named()


@pytest.mark.parametrize("text", ["Cảnh báo lũ", "เตือนภัย/ํา", "Ω-Å-1", "ကမ်း"])
def test_composed_and_decomposed_letters_are_one_name(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert len({entry(form).key for form in forms} | {named(form) for form in forms}) == 1
    assert len({entry(sender=form).key for form in forms} | {named(sender=form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"identifier": "a"}, {"identifier": "A"}),
        ({"identifier": "a"}, {"identifier": "\u0430"}),  # Cyrillic: looks alike, is another.
        ({"identifier": "ab", "sender": "c"}, {"identifier": "a", "sender": "bc"}),
        ({"identifier": "a,b"}, {"identifier": "a"}),
        ({"identifier": "\ufb01"}, {"identifier": "fi"}),
        ({"sender": "x@e"}, {"sender": "X@e"}),
        ({"sent_ms": SENT_MS}, {"sent_ms": SENT_MS + 1000}),
        ({"sent_ms": SENT_MS}, {"sent_ms": -SENT_MS}),
    ],
)
def test_what_only_looks_alike_is_another_name(one, other):
    assert entry(**one).key != entry(**other).key


@pytest.mark.parametrize(
    "sent", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-09-21T14:13:60Z", "9" * 500, "\u0662026"]
)
def test_a_reference_without_an_instant_names_nothing(sent):
    assert entry("b", AlertReference("desk@example.org", "a", sent)).references == ()


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59.5Z"])
def test_instants_at_the_ends_of_time_are_names_as_well(sent):
    assert len(entry("b", AlertReference("desk@example.org", "a", sent)).references) == 1


def test_only_the_newest_references_are_looked_at_once_each_and_never_itself():
    many = [AlertReference("d", f"a{n}", f"2026-09-21T14:{n:02}:00Z") for n in range(MAX_REFERENCES + 10)]
    itself = AlertReference("desk@example.org", "a", SENT)
    made = entry("a", *many, *many, itself)
    assert made.self_reference
    assert made.references == tuple(named(f"a{n}", "d", f"2026-09-21T14:{n:02}:00Z") for n in reversed(range(10, 26)))
    assert made.key not in made.references


def test_without_the_key_a_name_cannot_be_guessed():
    assert entry(key=KeyEncryptionKey(b"x" * 32)).key != entry().key
