"""Facts as JSON: what they say, or a refusal that names the place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid, GatewayError, MessageMalformed, MessageTooLarge
from gateway.model.header import Kind
from gateway.policy.facts import missing, not_applicable
from gateway.policy.facts_file import MAX_FACTS_BYTES, decode_facts, facts_as_json
from tests.fixtures.facts import approvals, facts, measure, person
from tests.fixtures.safeguard_cases import CASES

PLAIN = facts_as_json(facts())


def encoded(**changes) -> bytes:
    return json.dumps({**PLAIN, **changes}).encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_facts_are_read_back_as_they_were(case):
    assert decode_facts(json.dumps(facts_as_json(case.facts)).encode()) == case.facts


def test_what_is_left_out_is_missing_and_what_cannot_be_said_is_filled_in():
    short = {name: value for name, value in PLAIN.items() if name not in {"sources", "persons", "personal_data"}}
    assert missing(decode_facts(json.dumps(short).encode())) == ("persons", "sources")
    assert missing(decode_facts(encoded(sources=None))) == ("sources",)
    referral = {name: value for name, value in PLAIN.items() if name not in not_applicable(Kind.REFERRAL)}
    assert missing(decode_facts(json.dumps({**referral, "kind": "referral"}).encode())) == ()
    nobody = {name: value for name, value in PLAIN.items() if name not in {"approvals", "drafters", "executors"}}
    assert decode_facts(json.dumps(nobody).encode()).approvals == ()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"kind": "petition"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": 3}, "kind"),
        ({"mode": "ACTUAL"}, "mode"),
        ({"direction": "sideways"}, "direction"),
        ({"sender": "Thailand"}, "sender"),
        ({"sender": ["th"]}, "sender"),
        ({"authority": "police"}, "authority"),
        ({"recipients": "cn"}, "recipients"),
        ({"recipients": ["cn", "TH"]}, "recipients[1]"),
        ({"purpose": ""}, "purpose"),
        ({"purpose": "x" * 200}, "purpose"),
        ({"sources": -1}, "sources"),
        ({"sources": 2.0}, "sources"),
        ({"sources": True}, "sources"),
        ({"sources": 10**30}, "sources"),
        ({"death_penalty_possible": "no"}, "death_penalty_possible"),
        ({"death_penalty_possible": 0}, "death_penalty_possible"),
        ({"offence_matters": ["Political"]}, "offence_matters[0]"),
        ({"persons": [{**PLAIN["persons"][0], "minor": "perhaps"}]}, "persons[0].minor"),
        ({"persons": [{**PLAIN["persons"][0], "name": "A B"}]}, "persons[0].name"),
        ({"persons": [{}]}, "persons[0].role"),
        ({"persons": ["A B"]}, "persons[0]"),
        ({"persons": {}}, "persons"),
        ({"persons": [PLAIN["persons"][0]] * 10_001}, "persons"),
        ({"measures": [{**PLAIN["measures"][0], "measure_type": "wiretap"}]}, "measures[0].measure_type"),
        ({"approvals": [{"officer": "o1", "role": "operator", "rules": []}]}, "approvals[0].role"),
        ({"aproval": True}, "aproval"),
    ],
)
def test_what_means_nothing_is_refused_by_place(changes, place):
    data = encoded(**changes)
    if len(data) > MAX_FACTS_BYTES:
        with pytest.raises(MessageTooLarge):
            decode_facts(data)
        return
    with pytest.raises(FieldInvalid) as caught:
        decode_facts(data)
    assert caught.value.field == place


@pytest.mark.parametrize("name", ["kind", "mode", "sender", "recipients", "purpose", "legal_bases"])
def test_what_no_exchange_is_without_is_asked_for(name):
    with pytest.raises(FieldInvalid) as caught:
        decode_facts(json.dumps({key: value for key, value in PLAIN.items() if key != name}).encode())
    assert caught.value.field == name


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"\xff", b"[" * 100_000, b'{"kind": NaN}', b'{"kind": "request", "kind": "alert"}',
        b'{"sources": ' + b"9" * 5000 + b"}",
    ],
    ids=range(7),
)  # fmt: skip
def test_hostile_bytes_are_refused(data):
    with pytest.raises(MessageMalformed):
        decode_facts(data)


@pytest.mark.parametrize("data", [b"[]", b"null", b"3", b'"facts"', b"{}"])
def test_json_that_is_not_facts_is_refused(data):
    with pytest.raises(FieldInvalid):
        decode_facts(data)


def test_size_has_a_limit():
    with pytest.raises(MessageTooLarge):
        decode_facts(b" " * (MAX_FACTS_BYTES + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(PLAIN)), JSON, max_size=3))
def test_any_values_are_read_or_refused(changes):
    try:
        read = decode_facts(encoded(**changes))
    except GatewayError:
        return
    assert decode_facts(json.dumps(facts_as_json(read)).encode()) == read


def test_persons_measures_and_approvals_are_told_apart():
    value = facts(
        persons=(person(minor="yes"), person(protected=True)),
        measures=(measure("preserve", window_days=None),),
        approvals=approvals("hold/h4-minor", role="approver"),
    )
    read = decode_facts(json.dumps(facts_as_json(value)).encode())
    assert read == value
    assert read.measures is not None
    assert read.measures[0].window_days is None
