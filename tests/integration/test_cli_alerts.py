"""concord alert list, show, note, decline and cancel against a real socket: what is asked, printed and refused."""

import json

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as exchange_pb

from gateway import errors
from gateway.cli import main
from gateway.ids import uuid7
from tests.integration.test_cli_admin import NOW, admin, home, received, run

__all__ = ["admin", "home"]

HOSTILE = "flood\x1b[2J\u202egnp.exe\u2028all clear\r\n\x00\u009b31m"


def alert(state="validated", *, sender="th", kind=1, text="flood", sent_to=(), **fields):
    view = received(sender, text)
    view.direction = 1 if sent_to else 2
    view.alert_state = state
    view.create_time.FromMilliseconds(NOW)
    view.expire_time.FromMilliseconds(NOW + 3_600_000)
    view.thread_id = view.message_id
    view.content_commitment = b"c" * 32
    inside = view.body.alert
    inside.identifier, inside.source_sender, inside.scope, inside.alert_type = "a-1", "desk@example.org", "Public", kind
    inside.sent_time.time.FromMilliseconds(NOW // 1000 * 1000)
    inside.sent_time.offset_minutes = 420
    for info in inside.infos:
        info.categories.append("Met")
        info.event, info.urgency, info.severity, info.certainty = "flood", 1, 1, 1
        info.expire_time.time.FromMilliseconds(NOW + 3_600_000)
    view.body.schema_version = 1
    view.body.handling.tlp, view.body.handling.purpose = 1, "public_warning"
    view.body.handling.onward = 1
    for partner in sent_to:
        view.deliveries.add(partner=partner, state="received")
    for name, value in fields.items():
        setattr(view, name, value)
    return view


def ids(views):
    from gateway.cli.views import id_text

    return [id_text(view.message_id) for view in views]


def chain():
    first = alert("superseded", sender="cn", sent_to=["th"])
    second = alert("cancelled", sender="cn", kind=2, sent_to=["th"], predecessor=first.message_id)
    third = alert("issued", sender="cn", kind=3, sent_to=["th"], predecessor=second.message_id)
    first.successor, second.successor = second.message_id, third.message_id
    return first, second, third


def test_the_list_says_where_alerts_stand_for_programs_and_people(admin, capsys):
    plain = received()
    doubtful = alert("quarantined", sender="la", alert_reason="predecessor_unknown")
    admin.inbox = [doubtful, plain, *reversed(chain())]
    code, rows, _ = run(capsys, "alert", "list")
    assert code == 0
    # What is no alert is not in it.
    assert [row["alert_state"] for row in rows] == ["quarantined", "issued", "cancelled", "superseded"]
    assert rows[0]["alert_reason"] == "predecessor_unknown"
    assert rows[1]["predecessor"] == rows[2]["message_id"]
    assert "alert" not in rows[0]
    assert all(request.include_sent for request in admin.asked)
    assert main(["alert", "list"]) == 0
    shown = capsys.readouterr().out
    assert "QUARANTINED: the alert it is about is not known here" in shown
    assert f"cancels {rows[2]['message_id']}" in shown
    assert run(capsys, "alert", "list", "--limit", "1")[1] == rows[:1]


def test_an_empty_list_says_so(admin, capsys):
    admin.inbox = [received()]
    assert run(capsys, "alert", "list")[:2] == (0, [])
    assert main(["alert", "list"]) == 0
    assert capsys.readouterr().out == "There are no alerts.\n"


def test_one_is_shown_with_its_chain_from_whichever_it_is_asked_for(admin, capsys):
    views = chain()
    admin.inbox = [alert(), *reversed(views)]
    for place, known in enumerate(ids(views)):
        code, (answer,), _ = run(capsys, "alert", "show", known)
        assert code == 0
        assert answer["chain"] == ids(views)
        assert answer["alert"]["identifier"] == "a-1"
        assert main(["alert", "show", known.upper()]) == 0
        lines = capsys.readouterr().out.splitlines()[-3:]
        assert [line[0] for line in lines] == [">" if n == place else " " for n in range(3)]
        assert "superseded by" in lines[0]


def test_a_chain_that_leads_in_a_circle_ends(admin, capsys):
    views = chain()
    views[0].predecessor, views[2].successor = views[2].message_id, views[0].message_id
    admin.inbox = list(views)
    assert sorted(run(capsys, "alert", "show", ids(views)[1])[1][0]["chain"]) == sorted(ids(views))


def test_another_senders_alert_of_the_same_id_is_in_no_chain(admin, capsys):
    mine = alert(successor=uuid7(NOW))
    other = alert(sender="la")
    other.message_id = mine.successor
    admin.inbox = [mine, other]
    assert run(capsys, "alert", "show", ids([mine])[0])[1][0]["chain"] == ids([mine])


@pytest.mark.parametrize("command", [["list"], ["show"], ["note"], ["decline"]])
def test_a_hostile_headline_steers_no_terminal(admin, capsys, command):
    view = alert("quarantined", text=HOSTILE, alert_reason="pre\x1b[31m")
    view.state = "held\u202e"
    view.body.alert.identifier = view.body.alert.source_sender = view.body.authority = HOSTILE
    view.body.alert.infos[0].description = HOSTILE
    admin.inbox = [view]
    arguments = ["alert", *command, *(ids([view]) if command != ["list"] else [])]
    options = ["--language", "th"] if command in (["list"], ["show"]) else []
    assert main([*arguments, *options]) == 0
    shown = "".join(capsys.readouterr())
    for bad in "\x1b\u202e\u2028\r\x00\u009b":
        assert bad not in shown
    if options:
        assert "flood\\x1b[2J\\u202egnp.exe\\u2028all clear" in shown
        # For programs the text is as it came, and yet one line that steers nothing.
        assert main([*arguments, *options, "--json"]) == 0
        told = capsys.readouterr().out
        assert json.loads(told)["headlines"]["th"] == HOSTILE
        assert not [bad for bad in "\x1b\u202e\u2028\r\x00\u009b" if bad in told]


def test_marking_names_the_alert_and_says_what_came_of_it(admin, capsys):
    first, second = alert(), alert(sender="la")
    admin.inbox = [first, second]
    for name, mark in (("note", exchange_pb.ALERT_MARK_NOTED), ("decline", exchange_pb.ALERT_MARK_DECLINED)):
        code, (answer,), _ = run(capsys, "alert", name, ids([second])[0])
        assert (code, answer) == (0, {"message_id": ids([second])[0], "sender": "la", "alert_state": "noted"})
        asked = admin.asked[-1]
        assert (asked.message_id, asked.sender, asked.mark) == (second.message_id, "la", mark)
    assert main(["alert", "note", ids([second])[0]]) == 0
    assert capsys.readouterr().out == f"{ids([second])[0]} from la is noted.\n"


def test_cancelling_hands_in_what_names_the_alert_in_both_ways(admin, capsys):
    view = alert("issued", sender="cn", sent_to=["th", "la"])
    view.body.authority = "cn/foreign-affairs"
    admin.inbox = [view]
    (known,) = ids([view])
    code, (answer,), _ = run(capsys, "alert", "cancel", known, "--note", "over")
    assert code == 0
    assert answer["recipients"] == ["th", "la"]
    draft = admin.asked[-1].submit.draft
    assert (draft.supersedes_id, draft.supersedes_commitment) == (view.message_id, view.content_commitment)
    inside = draft.body.alert
    assert (inside.alert_type, inside.note) == (3, "over")
    (reference,) = inside.references
    assert (reference.sender, reference.identifier) == ("desk@example.org", "a-1")
    assert reference.sent.endswith("+07:00")
    assert draft.body.authority == "cn/foreign-affairs"
    assert main(["alert", "cancel", known]) == 0
    assert f"It cancels {known}." in capsys.readouterr().out


def test_a_cancellation_repeated_under_its_request_id_is_the_same_draft(admin, capsys):
    view = alert("issued", sender="cn", sent_to=["th"])
    view.body.authority = "cn/foreign-affairs"
    admin.inbox = [view]
    (known,) = ids([view])
    _, (answer,), _ = run(capsys, "alert", "cancel", known)
    again = run(capsys, "alert", "cancel", known, "--request-id", answer["request_id"])[1][0]
    assert again["request_id"] == answer["request_id"]
    first, second = [item.submit for item in admin.asked if hasattr(item, "submit")]
    assert first == second
    asked = len(admin.asked)
    for bad in ("x", "00000000-0000-4000-8000-000000000000"):
        code, (refused,), _ = run(capsys, "alert", "cancel", known, "--request-id", bad)
        assert (code, refused["error"]["reason"]) == (1, "USAGE")
    assert not [item for item in admin.asked[asked:] if hasattr(item, "submit")]


def test_an_unanswered_cancellation_says_how_to_repeat_it(admin, capsys):
    view = alert("issued", sender="cn", sent_to=["th"])
    view.body.authority = "cn/foreign-affairs"
    admin.inbox = [view]
    plain = admin._answer

    def lost(request, context, answer):
        plain(request, context, answer)
        if hasattr(request, "submit"):
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return answer

    admin._answer = lost
    code, (answer,), told = run(capsys, "alert", "cancel", ids([view])[0])
    assert code == 2
    assert f"--request-id {answer['error']['details']['request_id']}" in told
    # An option that this command does not have would send people wrong.
    assert "--expires" not in told


def test_a_dry_run_cancels_nothing(admin, capsys):
    view = alert("issued", sender="cn", sent_to=["th"])
    view.body.authority = "cn/foreign-affairs"
    admin.inbox = [view]
    code, (answer,), _ = run(capsys, "alert", "cancel", ids([view])[0], "--dry-run")
    assert (code, answer["verdict"]) == (0, "allow")
    assert all(item.validate_only for item in admin.asked if hasattr(item, "submit"))


@pytest.mark.parametrize("command", ["show", "note", "decline", "cancel"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("ffffffff-ffff", "NOT_FOUND"), ("abc", "USAGE"), ("", "USAGE"), ("\x1b[2J\u202e00000", "USAGE"),
        ("0" * 10_000, "USAGE"), ("01", "USAGE"), ("%", "USAGE"), ("ํํํํํํ", "USAGE"),
    ],
)  # fmt: skip
def test_an_id_that_names_nothing_is_refused_with_a_reason(admin, capsys, command, given, reason):
    admin.inbox = [alert()]
    code, (answer,), told = run(capsys, "alert", command, given)
    assert (code, answer["error"]["reason"]) == (1, reason)
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert not [item for item in admin.asked if hasattr(item, "submit") or hasattr(item, "mark")]


@pytest.mark.parametrize("command", ["show", "note", "decline", "cancel"])
def test_an_id_that_two_senders_gave_is_not_guessed(admin, capsys, command):
    first, second = alert(), alert(sender="la")
    second.message_id = first.message_id
    admin.inbox = [first, second]
    code, (answer,), _ = run(capsys, "alert", command, ids([first])[0])
    assert (code, answer["error"]["reason"]) == (1, "AMBIGUOUS")


def test_what_is_not_ours_or_no_alert_or_erased_is_not_cancelled(admin, capsys):
    theirs = alert()
    plain = received("cn")
    plain.deliveries.add(partner="th", state="received")
    plain.body.ClearField("alert")
    erased = alert("issued", sender="cn", sent_to=["th"])
    erased.ClearField("body")
    admin.inbox = [theirs, plain, erased]
    answers = [run(capsys, "alert", "cancel", known) for known in ids(admin.inbox)]
    assert [code for code, _, _ in answers] == [1, 1, 1]
    assert [answer["error"]["reason"] for _, (answer,), _ in answers] == ["USAGE", "NOT_FOUND", "NOT_FOUND"]
    assert not [item for item in admin.asked if hasattr(item, "submit")]


@pytest.mark.parametrize(
    "error", [errors.StateConflict("cannot note an alert that is cancelled"), errors.NotFound("no such received alert")]
)
@pytest.mark.parametrize("command", ["note", "decline", "cancel"])
def test_what_the_gateway_refuses_is_told_with_its_reason(admin, capsys, command, error):
    view = alert("cancelled", sender="cn", sent_to=["th"])
    view.body.authority = "cn/foreign-affairs"
    admin.inbox = [view]
    plain = admin._answer

    def answer(request, context, value):
        admin.error = error if hasattr(request, "mark") or hasattr(request, "submit") else None
        return plain(request, context, value)

    admin._answer = answer
    code, (told,), _ = run(capsys, "alert", command, ids([view])[0])
    assert code == 1
    assert told["error"]["reason"] == error.reason


@pytest.mark.parametrize("command", [["list"], ["show", "019acf7e"], ["note", "019acf7e"], ["cancel", "019acf7e"]])
def test_without_a_gateway_it_says_so(home, capsys, command):
    code, (answer,), _ = run(capsys, "alert", *command)
    assert (code, answer["error"]["reason"]) == (2, "GATEWAY_UNREACHABLE")
