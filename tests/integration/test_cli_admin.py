"""The command line against an AdminService on a real Unix socket: what is asked, what is printed, which exit code."""

import base64
import json
import os
import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from concord.v1 import admin_service_pb2 as pb
from concord.v1 import exchange_service_pb2 as exchange_pb
from concord.v1.admin_service_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server

from gateway import errors
from gateway.cli import main
from gateway.clock import SystemClock
from gateway.crypto.cards import fingerprint, sign_card
from gateway.crypto.certificates import pem_to_der
from gateway.crypto.keyring import Keyring
from gateway.ids import PartnerId, uuid7
from gateway.model.partner import Card, LocalName
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.partner import signed_card_to_proto
from gateway.rpc.status import DETAILS_KEY, to_status

Code = grpc.StatusCode
NOW = SystemClock().now_ms()
EXAMPLES = Path(__file__).parents[2] / "examples" / "alerts"
EXAMPLE = EXAMPLES / "mekong-typhoon.xml"
MESSAGE = uuid7(NOW)


def card_of(partner: str):
    keyring = Keyring.generate(PartnerId(partner), NOW - 1000)
    card = Card(
        partner=PartnerId(partner),
        sequence=1,
        previous_digest=b"",
        create_ms=NOW - 1000,
        names=(LocalName("en", partner),),
        keys=keyring.card_keys(),
        tls_roots=(pem_to_der(keyring.authority_certificate_pem),),
        endpoints=("127.0.0.1:7443",),
        desks=(),
        time_zone="Asia/Bangkok",
        languages=("en",),
        kinds=("alert",),
        suites=(1,),
    )
    signed = sign_card(card, identity=keyring.identity, previous_identity=None, codec=WireCodec())
    return signed_card_to_proto(signed), fingerprint(keyring.identity.verify_key.public)


class FakeAdmin(AdminServiceServicer):
    """Answers what a test has laid out and remembers what was asked."""

    def __init__(self):
        self.card, self.fingerprint = card_of("cn")
        self.asked = []
        self.error: Exception | None = None
        self.deliveries = [{"th": "received", "la": "received"}]
        self.queues = []
        self.steps = []
        self.inbox = []

    def _answer(self, request, context, answer):
        self.asked.append(request)
        if self.error is not None:
            status = to_status(self.error)
            context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            context.abort(code, status.message)
        return answer

    def view(self, partner="th", **fields):
        return pb.PartnerView(
            partner=partner, name="Thailand", card_sequence=1, fingerprint="1", agreement=True, **fields
        )

    def GetStatus(self, request, context):
        answer = pb.GetStatusResponse(partner="cn", mode="exercise", version="1", warnings=["disk \x1b[2J low"])
        return self._answer(request, context, answer)

    def ListOutbox(self, request, context):
        return self._answer(request, context, pb.ListOutboxResponse(queues=self.queues))

    def ListPartners(self, request, context):
        return self._answer(request, context, pb.ListPartnersResponse(partners=[self.view()]))

    def GetOwnCard(self, request, context):
        answer = pb.GetOwnCardResponse(card=self.card, fingerprint=self.fingerprint)
        return self._answer(request, context, answer)

    def AddPartner(self, request, context):
        return self._answer(request, context, pb.AddPartnerResponse(partner=self.view()))

    def SetPartnerFrozen(self, request, context):
        return self._answer(request, context, pb.SetPartnerFrozenResponse(partner=self.view(frozen=request.frozen)))

    def RemovePartner(self, request, context):
        return self._answer(request, context, pb.RemovePartnerResponse(discarded=2 * request.discard_waiting))

    def RotateKeys(self, request, context):
        answer = pb.RotateKeysResponse(card=self.card, fingerprint=self.fingerprint)
        return self._answer(request, context, answer)

    def SubmitLocal(self, request, context):
        if request.validate_only:
            verdict = exchange_pb.ValidateMessageResponse(
                verdict=exchange_pb.ValidateMessageResponse.VERDICT_ALLOW,
                rule_ids=["agreement/in-force"],
                body_bytes=9,
                explanation="covered by mekong\x1b[2J",
            )
            return self._answer(request, context, pb.SubmitLocalResponse(validation=verdict))
        accepted = exchange_pb.SubmitMessageResponse(
            message_id=MESSAGE, thread_id=MESSAGE, content_commitment=b"c" * 32
        )
        accepted.create_time.FromMilliseconds(NOW)
        return self._answer(request, context, pb.SubmitLocalResponse(accepted=accepted))

    def ListInbox(self, request, context):
        start = int(request.page_token or 0)
        end = start + request.page_size
        token = str(end) if end < len(self.inbox) else ""
        return self._answer(
            request, context, pb.ListInboxResponse(messages=self.inbox[start:end], next_page_token=token)
        )

    def MarkInboxAlert(self, request, context):
        return self._answer(request, context, pb.MarkInboxAlertResponse(alert_state="noted"))

    def ShowMessage(self, request, context):
        found = [view for view in self.inbox if str(uuid.UUID(bytes=view.message_id)).startswith(request.beginning)]
        answer = pb.ShowMessageResponse(found=len(found))
        if len(found) == 1:
            answer.message.CopyFrom(found[0])
        else:
            answer.candidates.extend(found[:10])
        return self._answer(request, context, answer)

    def GetDelivery(self, request, context):
        states = self.deliveries.pop(0) if len(self.deliveries) > 1 else self.deliveries[0]
        items = []
        for partner, state in states.items():
            item = exchange_pb.DeliveryState(partner=partner, state=state)
            if state != "waiting":
                item.time.FromMilliseconds(NOW + 40)
            items.append(item)
        view = exchange_pb.MessageView(message_id=request.message_id, deliveries=items)
        return self._answer(request, context, pb.GetDeliveryResponse(message=view))

    def TestPartner(self, request, context):
        return self._answer(request, context, pb.TestPartnerResponse(steps=self.steps))


@pytest.fixture
def home(monkeypatch):
    # A short path: pytest's own may be too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="c-"))
    (path / "concord.toml").write_text('partner = "cn"\nmode = "exercise"\ndefault_authority = "cn/foreign-affairs"\n')
    monkeypatch.setenv("CONCORD_HOME", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def admin(home):
    fake = FakeAdmin()
    server = grpc.server(ThreadPoolExecutor(2))
    add_AdminServiceServicer_to_server(fake, server)
    server.add_insecure_port(f"unix:{home}/admin.sock")
    server.start()
    yield fake
    server.stop(None).wait()


def run(capsys, *arguments):
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_status_is_one_object_and_a_table_without_escapes(admin, capsys):
    code, (answer,), _ = run(capsys, "status")
    assert code == 0
    assert answer["partner"] == "cn"
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "disk" in shown


def test_status_says_who_waits_for_whom_and_what_to_do_and_exits_with_4(admin, home, capsys):
    now_ms = SystemClock().now_ms()
    down = pb.PartnerQueue(
        partner="th", waiting=2, urgency="U1", link_state="backing_off", reason="'th' does not answer", turn="them",
        advice="find out where it stops: `concord partner test th`; telephone their desk if it is urgent",
    )  # fmt: skip
    down.oldest_time.FromMilliseconds(now_ms - 300_000)
    idle = pb.PartnerQueue(partner="vn", link_state="backing_off", reason="closed", turn="nobody")
    fine = pb.PartnerQueue(partner="la", waiting=1, urgency="U3", link_state="connected", turn="them")
    fine.oldest_time.FromMilliseconds(now_ms - 20)
    admin.queues = [fine, down, idle]
    code, (answer,), _ = run(capsys, "status", "--home", str(home))
    assert (code, answer["works"]) == (4, False)
    assert [item["partner"] for item in answer["stuck"]] == ["th", "vn"]
    assert (answer["stuck"][0]["waiting"], answer["stuck"][0]["turn"]) == (2, "them")
    assert f"concord partner test th --home {home}`" in answer["stuck"][0]["advice"]
    assert main(["status", "--home", str(home)]) == 4
    shown = capsys.readouterr().out
    assert (
        "2 messages wait for 'th' since 5 min, the most urgent is U1: 'th' does not answer; it is their turn" in shown
    )
    assert "'vn' cannot be reached (closed); nothing waits for it" in shown
    assert f"partner test vn --home {home}`" in shown
    assert "all well" not in shown


@pytest.mark.parametrize(
    ("fields", "age_s", "stuck"),
    [
        ({"link_state": "connected"}, None, False),
        ({"link_state": "idle", "waiting": 1}, 1, False),
        ({"link_state": "idle", "waiting": 1}, 120, True),
        ({"link_state": "connected", "waiting": 1}, 120, True),
        ({"link_state": "leased_elsewhere", "waiting": 1}, 120, True),
        ({"link_state": "frozen"}, None, False),
        ({"link_state": "frozen", "waiting": 1}, 1, True),
        ({"link_state": "backing_off"}, None, True),
    ],
)
def test_status_is_well_only_while_nothing_stands_still(admin, capsys, fields, age_s, stuck):
    queue = pb.PartnerQueue(partner="th", **fields)
    if age_s is not None:
        queue.oldest_time.FromMilliseconds(SystemClock().now_ms() - age_s * 1000)
    admin.queues = [queue]
    assert run(capsys, "status")[0] == (4 if stuck else 0)


def test_outbox_says_for_each_partner_why_and_whose_turn(admin, capsys):
    queue = pb.PartnerQueue(
        partner="th",
        waiting=3,
        urgency="U1",
        link_state="backing_off",
        reason="connection refused",
        turn="them",
        advice="call them",
        dead=1,
    )
    # Ages are told by the clock of the moment, and the module may have been loaded minutes ago.
    now_ms = SystemClock().now_ms()
    queue.oldest_time.FromMilliseconds(now_ms - 300_000)
    queue.next_attempt_time.FromMilliseconds(now_ms + 3_600_000)
    admin.queues = [queue, pb.PartnerQueue(partner="la", link_state="connected", turn="nobody")]
    code, (first, second), _ = run(capsys, "outbox")
    assert code == 0
    assert (first["partner"], first["turn"], first["reason"], first["dead"]) == ("th", "them", "connection refused", 1)
    assert second["oldest_time"] is None
    assert main(["outbox"]) == 0
    shown = capsys.readouterr().out
    for word in ("th", "5 min", "U1", "backing off", "connection refused", "theirs", "call them"):
        assert word in shown


def test_own_card_goes_out_as_a_file_that_add_reads_back(admin, capsys, tmp_path):
    assert main(["partner", "card"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("-----BEGIN CONCORD CARD-----")
    assert admin.fingerprint in captured.err
    (tmp_path / "cn.card").write_text(captured.out)
    code, (answer,), _ = run(capsys, "partner", "add", str(tmp_path / "cn.card"), "--fingerprint", admin.fingerprint)
    assert code == 0
    assert answer["partner"] == "th"
    request = admin.asked[-1]
    assert (request.card, request.fingerprint) == (admin.card, admin.fingerprint)


@pytest.fixture
def card_file(admin, capsys, tmp_path):
    assert main(["partner", "card"]) == 0
    (tmp_path / "cn.card").write_text(capsys.readouterr().out)
    admin.asked.clear()
    return tmp_path / "cn.card"


def test_card_without_fingerprint_is_not_added_and_its_own_is_shown(admin, card_file, capsys):
    code, (answer,), told = run(capsys, "partner", "add", str(card_file))
    assert code == 3
    assert answer["error"]["reason"] == "FINGERPRINT_NOT_COMPARED"
    assert answer["error"]["details"]["fingerprint"] == admin.fingerprint
    assert admin.fingerprint in told
    assert not admin.asked


def test_forged_words_above_a_card_do_not_change_the_fingerprint_shown(admin, card_file, capsys):
    forged = "fingerprint: 00000 00000"
    card_file.write_text(card_file.read_text().replace(f"fingerprint: {admin.fingerprint}", forged))
    _, (answer,), _ = run(capsys, "partner", "add", str(card_file))
    assert answer["error"]["details"]["fingerprint"] == admin.fingerprint


def test_card_whose_signature_does_not_hold_is_refused_before_its_fingerprint_is_shown(admin, card_file, capsys):
    lines = card_file.read_text().splitlines()
    start = lines.index("") + 1
    data = bytearray(base64.b64decode("".join(lines[start:-1])))
    data[len(data) // 2] ^= 1
    text = base64.b64encode(data).decode()
    body = [text[at : at + 64] for at in range(0, len(text), 64)]
    card_file.write_text("\n".join([*lines[:start], *body, lines[-1], ""]))
    code, (answer,), _ = run(capsys, "partner", "add", str(card_file))
    assert code in {1, 3}
    assert answer["error"]["reason"] in {"CARD_REJECTED", "FIELD_INVALID", "MESSAGE_MALFORMED"}
    assert not admin.asked


def test_mismatch_told_by_the_gateway_exits_with_3_and_says_not_to_add(admin, card_file, capsys):
    admin.error = errors.FingerprintMismatch("the fingerprint given is not the card's")
    code, (answer,), told = run(capsys, "partner", "add", str(card_file), "--fingerprint", "1")
    assert code == 3
    assert answer["error"]["reason"] == "FINGERPRINT_MISMATCH"
    assert answer["error"]["why"] == "the fingerprint given is not the card's"
    assert "Do not add the card" in told


def test_slip_of_the_keyboard_exits_with_1_and_warns_of_nobody(admin, card_file, capsys):
    admin.error = errors.FingerprintMistyped("the fingerprint given has 39 digits")
    code, (answer,), told = run(capsys, "partner", "add", str(card_file), "--fingerprint", "1")
    assert (code, answer["error"]["reason"]) == (1, "FINGERPRINT_MISTYPED")
    assert "somebody else" not in told
    assert "Nothing was added" in told


def test_freeze_and_thaw_ask_for_opposite_things(admin, capsys):
    assert run(capsys, "partner", "freeze", "th")[0] == 0
    assert run(capsys, "partner", "freeze", "th", "--thaw")[0] == 0
    assert [request.frozen for request in admin.asked] == [True, False]


def test_removing_needs_the_partner_named_twice(admin, capsys):
    for words in ((), ("--yes", "la"), ("--yes", "TH"), ("--yes", "")):
        code, (answer,), _ = run(capsys, "partner", "remove", "th", *words)
        assert (code, answer["error"]["reason"]) == (1, "DECLINED" if any(words[1:]) else "USAGE")
    assert not admin.asked
    code, (answer,), _ = run(capsys, "partner", "remove", "th", "--yes", "th")
    assert (code, answer) == (0, {"partner": "th", "discarded": 0})
    code, (answer,), _ = run(capsys, "partner", "remove", "th", "--yes", "th", "--discard-waiting")
    assert (code, answer) == (0, {"partner": "th", "discarded": 2})
    assert [(request.partner, request.discard_waiting) for request in admin.asked] == [("th", False), ("th", True)]


@pytest.mark.parametrize(("typed", "code"), [("th", 0), ("la", 1), ("y", 1), ("", 1)])
def test_a_person_types_the_partner_to_remove(admin, capsys, monkeypatch, typed, code):
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "r", closefd=False) as keyboard, os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr("sys.stdin", keyboard)
        monkeypatch.setattr("sys.stderr", screen)
        os.write(ours, f"{typed}\n".encode())
        assert main(["partner", "remove", "th"]) == code
        screen.flush()
        shown = b""
        # The terminal shows what was typed too.
        while b"Type th to go on" not in shown:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert len(admin.asked) == (code == 0)


def test_waiting_messages_are_in_the_way_of_removing(admin, capsys):
    admin.error = errors.MessagesWait("th", 1)
    code, (answer,), told = run(capsys, "partner", "remove", "th", "--yes", "th")
    assert (code, answer["error"]["reason"]) == (3, "MESSAGES_WAIT")
    assert answer["error"]["why"] == "1 message waits for 'th'"
    assert "--discard-waiting" in told


def test_partner_that_is_not_known_is_refused(admin, capsys):
    code, (answer,), _ = run(capsys, "partner", "show", "zz")
    assert code == 3
    assert answer["error"]["reason"] == "PARTNER_UNKNOWN"


def test_revoking_a_key_needs_yes_when_nobody_can_be_asked(admin, capsys):
    assert run(capsys, "partner", "rotate", "seal", "--revoke")[0] == 1
    assert not admin.asked
    code, (answer,), _ = run(capsys, "partner", "rotate", "seal", "--revoke", "--yes")
    assert code == 0
    assert answer["card"].startswith("-----BEGIN CONCORD CARD-----")
    assert (admin.asked[-1].purpose, admin.asked[-1].revoke) == ("seal", True)


def test_failed_step_of_a_link_test_exits_with_2_and_says_what_to_do(admin, capsys):
    admin.steps = [
        pb.TestStep(name="dns", passed=True),
        pb.TestStep(name="tls", passed=False, detail="unknown root", advice="compare cards"),
    ]
    code, (answer,), _ = run(capsys, "partner", "test", "th")
    assert (code, answer["passed"]) == (2, False)
    assert answer["steps"][1]["advice"] == "compare cards"
    admin.steps = [pb.TestStep(name="dns", passed=True)]
    assert run(capsys, "partner", "test", "th")[0] == 0
    admin.steps = []
    assert run(capsys, "partner", "test", "th")[0] == 2


def send(capsys, *more):
    return run(capsys, "send", "alert", str(EXAMPLE), "--to", "th,la", *more)


def test_alert_is_handed_in_with_its_original_bytes_and_what_the_agreement_says(admin, capsys):
    code, (answer,), _ = send(capsys)
    assert code == 0
    assert answer["recipients"] == ["th", "la"]
    draft = admin.asked[-1].submit.draft
    assert draft.body.alert.provenance.original == EXAMPLE.read_bytes()
    assert list(draft.recipients) == ["th", "la"]
    assert draft.body.authority == "cn/foreign-affairs"
    assert draft.body.handling.purpose == "public_warning"
    assert [item.instrument for item in draft.body.legal_basis] == ["voluntary"]
    assert draft.mode == 2
    assert admin.asked[-1].submit.request_id == answer["request_id"]


def test_request_id_of_the_caller_is_used_so_that_a_repeat_sends_nothing_twice(admin, capsys):
    wanted = "019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f"
    for _ in range(2):
        send(capsys, "--request-id", wanted, "--expires", "2099-01-01T00:00Z")
    first, second = (request.submit for request in admin.asked)
    assert first == second
    assert first.request_id == wanted


def test_wishes_of_the_caller_win(admin, capsys):
    wishes = (
        "--as",
        "cn/emergency-management",
        "--urgency",
        "u0",
        "--expires",
        "2h",
        "--purpose",
        "consular_protection",
    )
    assert send(capsys, *wishes)[0] == 0
    draft = admin.asked[-1].submit.draft
    assert draft.body.authority == "cn/emergency-management"
    assert draft.urgency == 1
    assert draft.body.handling.purpose == "consular_protection"
    assert 0 < draft.expire_time.ToMilliseconds() - NOW < 3 * 3_600_000


def test_alert_that_lasts_for_decades_is_sent_for_as_long_as_a_message_may_live(admin, capsys):
    _, _, told = send(capsys)
    assert "30 days" in told
    lifetime_ms = admin.asked[-1].submit.draft.expire_time.ToMilliseconds() - SystemClock().now_ms()
    assert 29 * 86_400_000 < lifetime_ms < 30 * 86_400_000


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "th,th"], "USAGE"),
        (["--to", "Thailand"], "FIELD_INVALID"),
        (["--to", ""], "FIELD_INVALID"),
        (["--to", "th", "--as", "mfa"], "FIELD_INVALID"),
        (["--to", "th", "--urgency", "U9"], "USAGE"),
        (["--to", "th", "--expires", "soon"], "FIELD_INVALID"),
    ],
)
def test_wrong_wish_is_refused_before_the_gateway_is_asked(admin, capsys, arguments, reason):
    code, (answer,), _ = run(capsys, "send", "alert", str(EXAMPLE), *arguments)
    assert (code, answer["error"]["reason"]) == (1, reason)
    assert not admin.asked


@pytest.mark.parametrize("name", ["hostile-entity.xml", "broken.xml"])
def test_file_that_is_no_alert_is_not_sent(admin, capsys, name):
    code, (answer,), _ = run(capsys, "send", "alert", str(EXAMPLES / name), "--to", "th")
    assert code == 1
    assert "alert check" in answer["error"]["advice"]
    assert not admin.asked


@pytest.mark.parametrize(
    ("change", "reason"), [(("Exercise", "Draft"), "FIELD_INVALID"), (("2099-", "2020-"), "EXPIRED")]
)
def test_alert_that_is_over_or_a_draft_is_not_sent(admin, capsys, tmp_path, change, reason):
    file = tmp_path / "a.xml"
    file.write_text(EXAMPLE.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    code, (answer,), _ = run(capsys, "send", "alert", str(file), "--to", "th")
    assert (code, answer["error"]["reason"]) == (1, reason)
    assert not admin.asked


def test_dry_run_says_what_would_leave_and_submits_nothing(admin, capsys):
    code, (answer,), _ = send(capsys, "--dry-run")
    assert code == 0
    assert (answer["verdict"], answer["rule_ids"], answer["body_bytes"]) == ("allow", ["agreement/in-force"], 9)
    assert "covered by mekong" in answer["explanation"]
    assert main(["send", "alert", str(EXAMPLE), "--to", "th", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "covered by mekong" in shown
    assert "\x1b" not in shown
    assert [request.validate_only for request in admin.asked] == [True, True]


def test_policy_denial_exits_with_3_and_names_the_rules(admin, capsys):
    admin.error = errors.PolicyDenied(("agreement/kind",), "not agreed")
    code, (answer,), told = send(capsys)
    assert code == 3
    assert answer["error"]["details"]["rule_ids"] == ["agreement/kind"]
    assert "agreement/kind" in told


def test_answer_that_never_came_says_how_to_repeat_without_sending_twice(admin, capsys):
    admin.error = errors.StoreUnavailable("the disk is full")
    code, (answer,), _ = send(capsys)
    assert code == 2
    request = admin.asked[-1].submit
    assert f"--request-id {request.request_id}" in answer["error"]["advice"]
    assert "--expires" in answer["error"]["advice"]


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (
            [
                {"th": "waiting", "la": "waiting"},
                {"th": "received", "la": "waiting"},
                {"th": "received", "la": "received"},
            ],
            0,
        ),
        ([{"th": "received", "la": "refused"}], 4),
        ([{"th": "refused", "la": "refused"}], 3),
        ([{"th": "waiting", "la": "waiting"}], 2),
        ([{"th": "received", "la": "waiting"}], 4),
    ],
)
def test_waiting_sums_up_in_the_exit_code(admin, capsys, states, code):
    admin.deliveries = states
    found, (answer,), _ = send(capsys, "--wait", "--timeout", "0.3")
    assert found == code
    assert answer["complete"] == (code == 0)
    assert {item["partner"]: item["state"] for item in answer["deliveries"]} == states[-1]


def received(sender="th", text="flood", language="th"):
    view = exchange_pb.MessageView(message_id=uuid7(NOW), sender=sender, kind=1, mode=2, urgency=2, state="received")
    view.body.authority = f"{sender}/ddpm"
    view.body.alert.infos.add(language="en", headline="English words")
    view.body.alert.infos.add(language=language, headline=text, description="d\x1b[2J")
    view.body.alert.provenance.original = b"<alert>\xff</alert>"
    return view


def test_inbox_lists_across_pages_up_to_the_limit(admin, capsys):
    admin.inbox = [received() for _ in range(250)]
    assert len(run(capsys, "inbox", "list", "--limit", "230")[1]) == 230
    assert len(run(capsys, "inbox", "list", "--limit", "1000")[1]) == 250
    assert len(run(capsys, "inbox")[1]) == 20


def test_inbox_shows_the_language_asked_for(admin, capsys):
    admin.inbox = [received(text="น้ำท่วม")]
    assert main(["inbox", "list", "--language", "th"]) == 0
    assert "น้ำท่วม" in capsys.readouterr().out
    assert main(["inbox", "list"]) == 0
    assert "English words" in capsys.readouterr().out


def test_one_message_is_shown_without_escapes_and_with_its_original(admin, capsys):
    message = received()
    message.body.alert.provenance.signature = "valid_expired"
    admin.inbox = [message]
    known = run(capsys, "inbox")[1][0]["message_id"]
    _, (answer,), _ = run(capsys, "inbox", "show", known)
    assert answer["alert"]["signature"] == "valid_expired"
    assert base64.b64decode(answer["alert"]["original_base64"]) == b"<alert>\xff</alert>"
    assert main(["inbox", "show", known, "--language", "th"]) == 0
    shown = capsys.readouterr().out
    assert "flood" in shown
    assert "valid_expired" in shown
    assert "\x1b" not in shown


def test_original_is_printed_byte_for_byte(admin, capsysbinary):
    admin.inbox = [received()]
    assert main(["inbox", "--json"]) == 0
    known = json.loads(capsysbinary.readouterr().out)["message_id"]
    assert main(["inbox", "show", known, "--original"]) == 0
    assert capsysbinary.readouterr().out == b"<alert>\xff</alert>"


def test_id_that_two_senders_gave_is_not_guessed(admin, capsys):
    first, second = received("th"), received("la")
    second.message_id = first.message_id
    admin.inbox = [first, second]
    known = run(capsys, "inbox")[1][0]["message_id"]
    code, (answer,), _ = run(capsys, "inbox", "show", known)
    assert (code, answer["error"]["reason"]) == (1, "AMBIGUOUS")
    assert {item["sender"] for item in answer["error"]["details"]["messages"]} == {"th", "la"}
    assert run(capsys, "inbox", "show", "ffffffff")[1][0]["error"]["reason"] == "NOT_FOUND"
    asked = len(admin.asked)
    for beginning in ("0", "0" * 37, "../../etc", "ก" * 8):
        assert run(capsys, "inbox", "show", beginning)[0] == 1
    assert len(admin.asked) == asked


def test_socket_that_nobody_listens_on_exits_with_2(home, admin, capsys):
    dead = home / "dead"
    dead.mkdir()
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead / "admin.sock"))
    code, (answer,), _ = run(capsys, "status", "--home", str(dead))
    assert (code, answer["error"]["reason"]) == (2, "GATEWAY_UNREACHABLE")


def test_plain_file_in_place_of_the_socket_exits_with_2(home, capsys):
    (home / "admin.sock").write_text("")
    assert run(capsys, "status")[0] == 2


def test_error_that_is_not_in_our_words_is_refused_and_its_code_shown(admin, capsys, monkeypatch):
    monkeypatch.setattr(admin, "_answer", lambda request, context, answer: context.abort(Code.DATA_LOSS, "what\x1b[2J"))
    code, (answer,), told = run(capsys, "outbox")
    assert (code, answer["error"]["reason"]) == (3, "DATA_LOSS")
    assert "\x1b" not in told
