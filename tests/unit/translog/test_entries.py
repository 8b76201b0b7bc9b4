"""Leaves say nothing by themselves, and what is shown of them proves itself."""

import dataclasses
import hashlib
import json

import pytest

from gateway.crypto.framing import pae
from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.disclosure import (
    MAX_JSON_BYTES,
    DisclosedEvent,
    Disclosure,
    OpenedFacet,
    disclose,
    parse_json,
    to_json,
    verify_disclosure,
)
from gateway.translog.entry import (
    LEAF_BYTES,
    MAX_DETAIL,
    EventType,
    Facet,
    LogEvent,
    facet_digest,
    facet_fields,
    leaf,
)

SALTS = bytes(range(80))
EVENT = LogEvent(
    type=EventType.MESSAGE_REFUSED,
    time_ms=1_795_651_200_123,
    actor="partner:cn",
    partner="cn",
    subject=b"\x01" * 16,
    thread=b"\x02" * 16,
    digest=b"\x03" * 32,
    outcome="refused",
    reason="KEY_RETIRED",
    detail="ข้อความ",
)
BARE = LogEvent(type=EventType.GATEWAY_STARTED, time_ms=0, actor="gateway")
LEAF = leaf(EVENT, SALTS)
ALL = disclose(EVENT, SALTS)


def test_a_leaf_is_what_the_reference_says():
    label = "concord/log-facet/v1"
    frames = [
        pae(label, b"what", SALTS[:16], b"\0\x05", b"refused", b"KEY_RETIRED", "ข้อความ".encode()),
        pae(label, b"when", SALTS[16:32], (1_795_651_200_123).to_bytes(8, "big")),
        pae(label, b"who", SALTS[32:48], b"partner:cn"),
        pae(label, b"whom", SALTS[48:64], b"cn"),
        pae(label, b"which", SALTS[64:], b"\x01" * 16, b"\x02" * 16, b"\x03" * 32),
    ]
    assert leaf(EVENT, SALTS) == b"concord/log-leaf/v1\n" + b"".join(hashlib.sha256(each).digest() for each in frames)
    assert len(LEAF) == LEAF_BYTES == 180


@pytest.mark.parametrize("event", [EVENT, BARE, dataclasses.replace(EVENT, detail="é" * MAX_DETAIL)])
def test_the_quick_way_and_the_plain_way_make_the_same_leaf(event):
    salts = [SALTS[at : at + 16] for at in range(0, 80, 16)]
    plain = [facet_digest(facet, salt, facet_fields(event, facet)) for facet, salt in zip(Facet, salts, strict=True)]
    assert leaf(event, SALTS)[20:] == b"".join(plain)


def test_the_numbers_of_event_types_never_change():
    assert {kind.name: kind.value for kind in EventType} == {
        "MESSAGE_SUBMITTED": 1, "MESSAGE_RELEASED": 2, "MESSAGE_RELAYED": 3, "MESSAGE_RECEIVED": 4,
        "MESSAGE_REFUSED": 5, "MESSAGE_ACKNOWLEDGED": 6, "MESSAGE_DECIDED": 7, "MESSAGE_EXPIRED": 8,
        "MESSAGE_HELD": 9, "MESSAGE_ERASED": 10, "RECEIPT_STORED": 11, "MESSAGE_SEALED_AGAIN": 12,
        "ALERT_CHANGED": 13,
        "APPROVAL_PROPOSED": 20, "APPROVAL_APPROVED": 21, "APPROVAL_REFUSED": 22,
        "APPROVAL_HELD": 23, "APPROVAL_CLAIMED": 24, "APPROVAL_SHOWN": 25, "APPROVAL_VOIDED": 26,
        "APPROVAL_LAPSED": 27, "APPROVAL_WITHDRAWN": 28, "APPROVAL_ASKED": 29,
        "CARD_ADDED": 30, "CARD_CHANGED": 31, "CARD_FROZEN": 32, "CARD_THAWED": 33, "CARD_REMOVED": 34,
        "CARD_REJECTED": 35, "KEY_ROTATED": 40, "KEY_REVOKED": 41,
        "GATEWAY_STARTED": 50, "GATEWAY_STOPPED": 51, "CONFIGURATION_APPLIED": 52, "ADMINISTRATION_ACT": 53,
        "LOG_BEGUN": 54,
        "MESSAGE_SHOWN": 60, "LIST_SHOWN": 61, "LOG_SEARCHED": 62, "LOG_EXPORTED": 63, "LOG_PROVED": 64,
        "DISCLOSURE_ERASED": 65,
        "PARTNER_CHECKPOINT_SEEN": 70,
        "ATTACHMENT_UPLOADED": 80, "ATTACHMENT_RELAYED": 81, "ATTACHMENT_RECEIVED": 82, "ATTACHMENT_REFUSED": 83,
        "ATTACHMENT_SHOWN": 84, "ATTACHMENT_ERASED": 85,
        "APPROVAL_SENT_ALONE": 90, "APPROVAL_GLASS_BROKEN": 91, "APPROVAL_REVIEWED": 92,
        "APPROVAL_RELEASED_CLAIM": 93, "APPROVAL_HANDED_OVER": 94, "APPROVAL_ATTEMPT_REFUSED": 95,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"time_ms": -1},
        {"time_ms": 1 << 63},
        {"actor": ""},
        {"actor": "a" * 256},
        {"actor": "a\nb"},
        {"partner": "CN"},
        {"partner": "cn\n"},
        {"partner": "china"},
        {"subject": b"x"},
        {"thread": bytes(17)},
        {"digest": bytes(16)},
        {"outcome": "a" * 65},
        {"reason": "a" * 65},
        {"detail": "a" * 513},
        {"detail": "a\u202eb"},
        {"detail": "a\u200bb"},
        {"detail": "a\ud800"},
    ],
)
def test_an_event_that_could_mislead_or_fill_the_log_is_refused(change):
    with pytest.raises(FieldInvalid):
        dataclasses.replace(EVENT, **change)


def test_a_whole_disclosure_shows_the_event():
    assert verify_disclosure(LEAF, ALL) == DisclosedEvent(
        **{field.name: getattr(EVENT, field.name) for field in dataclasses.fields(LogEvent)}
    )
    assert verify_disclosure(leaf(BARE, SALTS), disclose(BARE, SALTS)).detail == ""


@pytest.mark.parametrize("facet", Facet)
def test_one_facet_shows_itself_and_no_other(facet):
    one = disclose(EVENT, SALTS, [facet])
    shown = verify_disclosure(LEAF, one)
    values = {field.name for field in dataclasses.fields(shown) if getattr(shown, field.name) is not None}
    assert values == set(json.loads(to_json(one))[facet]) - {"salt"}
    assert [SALTS[at : at + 16].hex() in to_json(one) for at in range(0, 80, 16)].count(True) == 1
    with pytest.raises(ProofRejected):
        verify_disclosure(leaf(BARE, SALTS), one)
    with pytest.raises(ProofRejected):
        verify_disclosure(leaf(EVENT, SALTS[::-1]), one)


def test_fields_cannot_move_between_neighbours():
    one = dataclasses.replace(EVENT, outcome="ab", reason="c")
    other = dataclasses.replace(EVENT, outcome="a", reason="bc")
    assert leaf(one, SALTS) != leaf(other, SALTS)


@pytest.mark.parametrize(
    ("bad_leaf", "disclosure", "error"),
    [
        (LEAF[:-1], ALL, MessageMalformed),
        (b"concord/log-leaf/v2\n" + LEAF[20:], ALL, MessageMalformed),
        (LEAF, Disclosure(()), MessageMalformed),
        (LEAF, Disclosure((ALL.opened[1], ALL.opened[0])), MessageMalformed),
        (LEAF, Disclosure((ALL.opened[1], ALL.opened[1])), MessageMalformed),
        (LEAF, Disclosure((OpenedFacet(Facet.WHO, b"short", (b"x",)),)), MessageMalformed),
        (LEAF, Disclosure((OpenedFacet(Facet.WHO, SALTS[32:48], (b"partner:vn",)),)), ProofRejected),
        (LEAF, Disclosure((OpenedFacet(Facet.WHO, SALTS[32:48], ()),)), ProofRejected),
    ],
)
def test_what_is_shown_wrongly_is_refused(bad_leaf, disclosure, error):
    with pytest.raises(error):
        verify_disclosure(bad_leaf, disclosure)


@pytest.mark.parametrize(
    ("facet", "fields"),
    [
        (Facet.WHAT, (b"\xff\xff", b"", b"", b"")),
        (Facet.WHAT, (b"\x05", b"", b"", b"")),
        (Facet.WHAT, (b"\0\x05", b"\xff", b"", b"")),
        (Facet.WHAT, (b"\0\x05", b"a\nb", b"", b"")),
        (Facet.WHAT, (b"\0\x05", b"", b"")),
        (Facet.WHEN, (bytes(7),)),
        (Facet.WHEN, (b"\xff" * 8,)),
        (Facet.WHO, (b"",)),
        (Facet.WHOM, (b"CN",)),
        (Facet.WHICH, (b"x", b"", b"")),
    ],
)
def test_a_log_that_commits_to_nonsense_is_told_so(facet, fields):
    # Digests can be over anything: a partner's log is not made by our code.
    place = 20 + 32 * list(Facet).index(facet)
    bad = LEAF[:place] + facet_digest(facet, bytes(16), fields) + LEAF[place + 32 :]
    with pytest.raises(MessageMalformed):
        verify_disclosure(bad, Disclosure((OpenedFacet(facet, bytes(16), fields),)))


def test_json_comes_back():
    for disclosure in (ALL, disclose(BARE, SALTS), disclose(EVENT, SALTS, [Facet.WHEN, Facet.WHICH])):
        assert parse_json(to_json(disclosure).encode()) == disclosure


def mutated(change):
    members = json.loads(to_json(ALL))
    change(members)
    return json.dumps(members)


BAD_JSON = {
    "empty": "",
    "no object": "[]",
    "nothing shown": '{"format": "concord/log-disclosure/v1"}',
    "no format": mutated(lambda members: members.pop("format")),
    "other format": mutated(lambda members: members.update(format="concord/log-disclosure/v2")),
    "unknown member": mutated(lambda members: members.update(why={})),
    "unknown field": mutated(lambda members: members["who"].update(name="x")),
    "missing field": mutated(lambda members: members["what"].pop("detail")),
    "missing salt": mutated(lambda members: members["who"].pop("salt")),
    "facet of the wrong shape": mutated(lambda members: members.update(who="partner:cn")),
    "short salt": mutated(lambda members: members["who"].update(salt="00")),
    "salt in upper case": mutated(lambda members: members["who"].update(salt="AA" * 16)),
    "salt with spaces": mutated(lambda members: members["who"].update(salt="aa " * 16)),
    "salt of another type": mutated(lambda members: members["who"].update(salt=1)),
    "unknown type": mutated(lambda members: members["what"].update(type="MESSAGE_EATEN")),
    "type as a number": mutated(lambda members: members["what"].update(type=5)),
    "null text": mutated(lambda members: members["what"].update(detail=None)),
    "long text": mutated(lambda members: members["what"].update(detail="a" * 513)),
    "line feed in a text": mutated(lambda members: members["what"].update(detail="a\nb")),
    "unpaired surrogate": mutated(lambda members: members["what"].update(detail="\ud800")),
    "time as text": mutated(lambda members: members["when"].update(time_ms="1")),
    "time as a fraction": mutated(lambda members: members["when"].update(time_ms=1.0)),
    "time as a truth": mutated(lambda members: members["when"].update(time_ms=True)),
    "negative time": mutated(lambda members: members["when"].update(time_ms=-1)),
    "late time": mutated(lambda members: members["when"].update(time_ms=1 << 63)),
    "time without end": mutated(lambda members: members["when"].update(time_ms=float("nan"))),
    "time of many digits": to_json(ALL).replace(str(EVENT.time_ms), "9" * 5000),
    "partner's name": mutated(lambda members: members["whom"].update(partner="china")),
    "short id": mutated(lambda members: members["which"].update(subject="00")),
    "member twice": to_json(ALL).replace('"who"', '"whom"'),
    "field twice": to_json(ALL).replace('"actor"', '"actor": "x", "actor"'),
    "more after it": to_json(ALL) + "{}",
    "deep": "[" * 10_000,
    "byte order mark": "\ufeff" + to_json(ALL),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_JSON)
def test_malformed_json_is_refused(case):
    assert BAD_JSON[case] != to_json(ALL)
    with pytest.raises(MessageMalformed):
        parse_json(BAD_JSON[case].encode())


def test_json_in_another_encoding_or_too_large_is_refused():
    with pytest.raises(MessageMalformed):
        parse_json(to_json(ALL).encode("utf-16"))
    with pytest.raises(MessageTooLarge):
        parse_json(b"[" * (MAX_JSON_BYTES + 1))


def test_the_longest_event_fits_its_json():
    longest = LogEvent(
        type=EventType.PARTNER_CHECKPOINT_SEEN, time_ms=(1 << 63) - 1, partner="cn", actor="𐍈" * 255, outcome="𐍈" * 64,
        reason="𐍈" * 64, detail="𐍈" * 512, subject=b"\xff" * 16, thread=b"\xff" * 16, digest=b"\xff" * 32,
    )  # fmt: skip
    whole = disclose(longest, SALTS)
    assert parse_json(to_json(whole).encode()) == whole
    # Escaped, as another writer may.
    assert parse_json(json.dumps(json.loads(to_json(whole))).encode()) == whole


def test_salts_of_another_length_are_a_mistake_of_the_caller():
    for act in (lambda: leaf(EVENT, SALTS[1:]), lambda: disclose(EVENT, SALTS + b"x")):
        with pytest.raises(ValueError):
            act()
