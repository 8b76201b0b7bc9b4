"""Cases from the first call to the end, between two gateways, by the commands that a desk types."""

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.fixtures.quick_gateways import QuickGateway, start_all

ROOT = Path(__file__).resolve().parents[2]
AGREEMENT = """
[[agreement]]
id = "cases-under-test"
partners = ["{other}"]
kinds = ["referral", "request", "update", "answer", "recall"]
authorities = ["{own}/foreign-affairs"]
purposes = ["consular_protection", "criminal_investigation"]
legal_bases = ["VCCR", "UNTOC-TIP", "voluntary", "UNTOC", "UNCAC", "UNCC"]
modes = ["exercise", "test"]
default_lifetime_hours = 24
retention_days = 30
release = "system"
[agreement.terms.request]
measures = ["preserve"]
"""
WAIT_S = 60.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    base = tmp_path_factory.mktemp("scenarios")
    shutil.copytree(ROOT / "partners", base / "partners")
    for own, other in (("th", "la"), ("la", "th")):
        with (base / "partners" / f"{own}.toml").open("a", encoding="utf-8") as profile:
            profile.write(AGREEMENT.format(own=own, other=other))
    th, la = (QuickGateway(code, base / code, settings='partners_dir = "../partners"') for code in ("th", "la"))
    try:
        th.init()
        la.init()
        start_all(th, la)
        th.befriend(la)
        la.befriend(th)
        yield th, la
    finally:
        th.kill()
        la.kill()


def written(gateway, kind: str, **changes) -> str:
    """Return a file with the template of a kind and some fields changed."""
    table = gateway.ask("send", kind, "--template") | changes
    path = gateway.home.parent / f"{kind}.json"
    path.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    return str(path)


def reaches(gateway, case_id: str, state: str):
    """Return a case once it stands so on a gateway."""
    end = time.monotonic() + WAIT_S
    while True:
        done = gateway.run("case", "show", case_id, "--json", expect=None)
        case = json.loads(done.stdout.splitlines()[0]) if done.stdout else {}
        if case.get("state") == state:
            return case
        assert time.monotonic() < end, f"{gateway.code} has {case.get('state') or case}, not {state}"
        time.sleep(0.1)


def act(gateway, *words: str):
    return gateway.ask("case", *words, "--as", f"{gateway.code}/foreign-affairs")


@pytest.mark.timeout(240)
def test_a_call_to_the_hotline_becomes_a_case_that_a_partner_acts_on(pair):
    th, la = pair
    file = written(th, "referral")
    opened = th.ask("send", "referral", file, "--to", "la", "--as", "th/foreign-affairs", "--urgency", "U0")
    case_id = opened["thread_id"]

    theirs = reaches(la, case_id, "received")
    assert (theirs["kind"], theirs["urgency"], theirs["turn"]) == ("referral", "U0", "us")
    assert {item["what"] for item in theirs["due"]} == {"acknowledgement", "decision"}
    assert not any(item["overdue"] for item in theirs["due"])
    # The receipt alone tells the side that asked.
    ours = reaches(th, case_id, "received")
    assert ours["turn"] == "them"
    shown = th.run("case", "show", case_id).stdout
    assert "here" in shown
    assert "there" in shown
    assert "case withdraw" in shown

    assert act(la, "accept", case_id)["state"] == "accepted"
    reaches(th, case_id, "accepted")
    assert act(la, "update", case_id, "--event", "start", "--text", "A team is on its way.")["state"] == "in_progress"
    reaches(th, case_id, "in_progress")
    act(la, "ask", case_id, "--text", "Which building?")
    reaches(th, case_id, "info_needed")
    act(th, "update", case_id, "--event", "inform", "--text", "Building 5.")
    reaches(la, case_id, "in_progress")
    act(la, "answer", case_id, "--outcome", "rescued", "--text", "He is safe.")
    assert reaches(th, case_id, "resolved")["turn"] == "us"
    assert act(th, "close", case_id)["state"] == "closed"
    ended = reaches(la, case_id, "closed")
    assert not ended["live"]
    assert ended["due"] == []

    words = [(line["event"], line["after"]) for line in ended["history"]]
    assert words == [
        ("open", "received"),
        ("acknowledge", "acknowledged"),
        ("accept", "accepted"),
        ("start", "in_progress"),
        ("ask", "info_needed"),
        ("inform", "in_progress"),
        ("resolve", "resolved"),
        ("confirm", "closed"),
    ]
    # What is over is over, and the refusal says what is left.
    refused = la.run("case", "accept", case_id, "--as", "la/foreign-affairs", expect=1)
    assert "STATE_CONFLICT" in refused.stderr
    assert "possible is reopen (the partner)" in refused.stderr
    assert case_id not in [item["case_id"] for item in _listed(la)]


@pytest.mark.timeout(240)
def test_data_are_preserved_and_let_go(pair):
    th, la = pair
    file = written(th, "request")
    words = ("send", "request", file, "--to", "la", "--as", "th/foreign-affairs")
    tried = th.ask(*words, "--dry-run")
    assert (tried["verdict"], tried["recipients"]) == ("allow", ["la"])
    case_id = th.ask(*words)["thread_id"]
    reaches(la, case_id, "received")

    # No request is refused without consultation: the refusal says what is possible.
    hasty = ("decline", case_id, "--ground", "form_defect", "--reason", "No.")
    refused = la.run("case", *hasty, "--as", "la/foreign-affairs", expect=1)
    assert "consult before refusing" in refused.stderr

    assert act(la, "accept", case_id)["state"] == "approved"
    reaches(th, case_id, "approved")
    act(la, "answer", case_id, "--result", "m1=preserved", "--until", "90d")
    kept = reaches(th, case_id, "preserved")
    (measure,) = kept["measures"]
    assert (measure["measure_id"], measure["measure_type"], measure["state"]) == ("m1", "preserve", "preserved")
    assert measure["until_time"]

    early = th.run("case", "close", case_id, "--text", "Not used.", "--as", "th/foreign-affairs", expect=1)
    assert "while data are held" in early.stderr
    assert act(th, "update", case_id, "--event", "release", "--measure", "m1")["state"] == "released"
    assert reaches(la, case_id, "released")["measures"][0]["until_time"] is None
    assert act(th, "close", case_id, "--text", "Not needed any more.")["state"] == "closed"
    reaches(la, case_id, "closed")


def test_a_political_request_does_not_leave(pair):
    th, _ = pair
    table = th.ask("send", "request", "--template")
    table["offences"][0]["character"] = "political"
    file = written(th, "request", **table)
    refused = th.run("send", "request", file, "--to", "la", "--as", "th/foreign-affairs", expect=3)
    assert "safeguard/b1-excluded-matter" in refused.stderr


def test_a_slip_of_a_key_in_a_file_is_refused_with_its_place(pair):
    th, _ = pair
    file = written(th, "referral", danger_now="perhaps")
    refused = th.run("send", "referral", file, "--to", "la", "--as", "th/foreign-affairs", expect=1)
    assert "referral.danger_now" in refused.stderr


def _listed(gateway):
    done = gateway.run("case", "list", "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]
