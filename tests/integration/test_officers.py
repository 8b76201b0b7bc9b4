"""Officers at a real gateway: registered, known by certificate, deciding by command; everybody else is refused."""

import asyncio
import json
from pathlib import Path

import pytest
from concord.v1 import approval_service_pb2 as pb
from concord.v1 import exchange_service_pb2 as exchange

from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.message import draft_to_proto
from tests.fixtures.officers import referral
from tests.fixtures.quick_gateways import quick_gateways
from tests.integration.called import met

DESK = "cn/foreign-affairs"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Two gateways; at one, a hotline that hands in, three officers and an auditor."""
    with quick_gateways(
        tmp_path_factory.mktemp("officers"), "cn", "th", environment={"CONCORD_ATTACHMENTS__BY_OTHER_MEANS": "true"}
    ) as (cn, th):
        cn.run("system", "add", "hotline", "--authority", DESK)
        cn.run("auditor", "add", "court")
        for name, roles in (("li", "drafter"), ("wang", "approver"), ("zhao", "approver,duty_lead")):
            cn.run("officer", "add", name, "--authority", DESK, "--role", roles)
        cn.run("officer", "add", "sun", "--authority", "cn/public-security", "--role", "approver")
        yield cn, th


def held(cn, identity: str = "system-hotline") -> str:
    """Hand a referral in and return the proposal's id."""

    async def hand_in() -> exchange.SubmitMessageResponse:
        async with channel(cn, identity) as raw:
            call = raw.unary_unary(
                "/concord.v1.ExchangeService/SubmitMessage",
                request_serializer=exchange.SubmitMessageRequest.SerializeToString,
                response_deserializer=exchange.SubmitMessageResponse.FromString,
            )
            from gateway.cli.send import new_request_id

            draft = draft_to_proto(referral(WireCodec()))
            return await call(exchange.SubmitMessageRequest(request_id=new_request_id(), draft=draft), timeout=20)

    answer = asyncio.run(hand_in())
    assert [need.rule_id for need in answer.held.needs] == ["agreement/release-officers"]
    return answer.message_id.hex()


def channel(cn, identity: str):
    import grpc

    certificates = cn.home / "certs"
    credentials = grpc.ssl_channel_credentials(
        (certificates / "authority.pem").read_bytes(),
        (certificates / f"{identity}.key.pem").read_bytes(),
        (certificates / f"{identity}.pem").read_bytes(),
    )
    return grpc.aio.secure_channel(f"localhost:{cn.exchange_port}", credentials)


def door(cn, officer: str) -> list[str]:
    roots, own = cn.home / "certs" / "authority.pem", cn.home / "certs" / f"officer-{officer}"
    target = f"localhost:{cn.exchange_port}"
    return ["--target", target, "--roots", str(roots), "--chain", f"{own}.pem", "--key", f"{own}.key.pem"]


def decide(cn, officer: str, *words: str, expect: int = 0):
    return cn.ask("decide", *words, *door(cn, officer), expect=expect)


def error(answer) -> str:
    return answer["error"]["reason"]


def test_two_officers_release_a_referral_from_the_command_line(desk) -> None:
    cn, th = desk
    proposal = held(cn)
    listed = decide(cn, "wang", "list")
    assert proposal in {
        item["proposal_id"].replace("-", "") for item in (listed if isinstance(listed, list) else [listed])
    }
    assert decide(cn, "wang", "propose", proposal, "--dry-run")["state"] == "draft"
    decide(cn, "wang", "claim", proposal)
    assert error(decide(cn, "zhao", "propose", proposal, expect=1)) == "STATE_CONFLICT"
    decide(cn, "wang", "ask", proposal, "who is the sister?")
    assert decide(cn, "wang", "propose", proposal, "--note", "checked")["state"] == "proposed"
    decide(cn, "wang", "release", proposal)
    shown = decide(cn, "zhao", "show", proposal)
    assert [act["act"] for act in shown["history"]] == ["asked", "proposed"]
    assert shown["content"]["referral"]["asks"]
    # Names stay at home.
    assert shown["proposer"].startswith("o-")
    assert "wang" not in json.dumps(shown)
    digest = shown["digest"]
    assert error(decide(cn, "wang", "approve", proposal, "--digest", digest, expect=1)) == "STATE_CONFLICT"
    assert error(decide(cn, "li", "approve", proposal, "--digest", digest, expect=1)) == "STATE_CONFLICT"
    assert error(decide(cn, "zhao", "approve", proposal, "--digest", "00" * 16, expect=1)) == "DIGEST_DIFFERS"
    assert error(decide(cn, "zhao", "approve", proposal, expect=1)) == "DIGEST_DIFFERS"
    assert decide(cn, "zhao", "approve", proposal, "--digest", digest)["state"] == "approved"
    _arrives(th, proposal)
    assert not [item for item in _all(cn, "zhao") if item["proposal_id"].replace("-", "") == proposal]
    assert decide(cn, "sun", "list", "--all", expect=0) == []


def _all(cn, officer: str) -> list[dict]:
    found = decide(cn, officer, "list")
    return found if isinstance(found, list) else [found]


def _arrives(th, proposal: str) -> None:
    import time

    end = time.monotonic() + 60
    while True:
        found = th.ask("inbox")
        rows = found if isinstance(found, list) else [found]
        if proposal in {row["message_id"].replace("-", "") for row in rows}:
            return
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_refusal_and_a_withdrawal_end_it(desk) -> None:
    cn, _ = desk
    refused = held(cn)
    decide(cn, "wang", "propose", refused)
    words = ["--ground", "FORM_DEFECT", "--disclosed", "the form", "--internal", "call the hotline"]
    assert decide(cn, "zhao", "refuse", refused, *words)["state"] == "refused"
    last = decide(cn, "wang", "show", refused)["history"][-1]
    assert (last["ground"], last["disclosed"], last["internal"]) == ("FORM_DEFECT", "the form", "call the hotline")
    mine = held(cn, "officer-li")
    assert error(decide(cn, "wang", "withdraw", mine, expect=1)) == "STATE_CONFLICT"
    assert decide(cn, "li", "withdraw", mine)["state"] == "withdrawn"


def test_nobody_else_decides_or_looks(desk) -> None:
    cn, _ = desk
    proposal = bytes.fromhex(held(cn))
    requests = {
        "GetProposal": pb.GetProposalRequest(proposal_id=proposal),
        "ApproveProposal": pb.ApproveProposalRequest(proposal_id=proposal, etag="1", digest=bytes(32)),
        "RefuseProposal": pb.RefuseProposalRequest(proposal_id=proposal, etag="1", ground="FORM_DEFECT"),
    }

    async def tried(identity: str) -> set[tuple[str, str]]:
        async with channel(cn, identity) as raw:
            return {await met(raw, f"concord.v1.ApprovalService.{name}") + () for name in requests}

    for identity in ("system-hotline", "auditor-court"):
        assert {reason for _, reason in asyncio.run(tried(identity))} == {"METHOD_NOT_ALLOWED"}
    # An officer of another authority is told no more than a stranger would be.
    assert error(decide(cn, "sun", "show", proposal.hex(), expect=1)) == "NOT_FOUND"
    cn.run("officer", "remove", "sun", "--yes")
    assert error(decide(cn, "sun", "list", expect=3)) == "CALLER_UNKNOWN"


@pytest.mark.parametrize(
    "words",
    [
        ["officer", "add", "x", "--authority", DESK, "--role", "auditor"],
        ["officer", "add", "x", "--authority", "th/royal-police", "--role", "approver"],
        ["officer", "add", "X Y", "--authority", DESK, "--role", "approver"],
        ["officer", "add", "wang", "--authority", DESK, "--role", "approver"],
    ],
)
def test_an_officer_that_cannot_be_is_not_registered(desk, words) -> None:
    cn, _ = desk
    assert cn.ask(*words, expect=1)["error"]["reason"] in {"FIELD_INVALID", "STATE_CONFLICT"}


def test_a_door_that_is_none_says_so(desk, tmp_path: Path) -> None:
    cn, _ = desk
    words = door(cn, "wang")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    assert error(cn.ask("decide", "list", *words[:-1], str(wrong), expect=1)) == "FILE_UNUSABLE"
    assert error(cn.ask("decide", "list", *words[:-1], str(tmp_path / "none"), expect=1)) == "FILE_UNREADABLE"
    assert error(cn.ask("decide", "list", "--target", "localhost:1", *words[2:], expect=2)) == "GATEWAY_UNREACHABLE"
