import os
import socket
import stat
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from concord.v1 import admin_service_pb2 as pb
from concord.v1 import exchange_service_pb2 as exchange_pb
from concord.v1 import message_pb2
from concord.v1.admin_service_pb2_grpc import AdminServiceStub
from grpc_status import rpc_status
from structlog.testing import capture_logs

from gateway.errors import ConfigInvalid, FingerprintMismatch, MessagesWait, NotFound, PartnerUnknown
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Validation
from gateway.ids import MessageId, ThreadId
from gateway.model.header import Urgency
from gateway.policy.decision import Allow
from gateway.ports import SubmissionResult, SubmissionStatus
from gateway.rpc.admin_servicer import GatewayStatus, PartnerStatus, QueueStatus, TestStep
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.convert.partner import signed_card_to_proto
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.server import Servers, admin_listener
from gateway.rpc.status import from_status
from tests.integration.rpc_setup import CLOCK, SIGNED, TH, VN, federation, new_exchange, new_federation, state
from tests.integration.test_rpc_exchange import BODY, BODY_BYTES, DRAFT, stored

PARTNER = PartnerStatus(
    partner=VN,
    name="Việt Nam",
    card_sequence=3,
    fingerprint="1234",
    frozen=False,
    endpoint="vn.example:7443",
    seal_key_end_ms=5000,
    last_success_ms=None,
    link_state="connected",
    agreement=True,
)


@dataclass
class MemoryBackend:
    """What operators ask, answered from memory."""

    calls: list = field(default_factory=list)

    async def status(self):
        return GatewayStatus(
            partner=TH,
            mode="exercise",
            version="0.1.0",
            start_ms=1000,
            messages_sent=1,
            messages_received=2,
            waiting=3,
            federation_endpoint="127.0.0.1:1",
            exchange_endpoint="",
            partners=4,
            store="sqlite",
            warnings=("clock",),
        )

    async def queues(self):
        return (
            QueueStatus(
                partner=VN,
                waiting=2,
                oldest_ms=7000,
                urgency=Urgency.U0,
                link_state="backing_off",
                reason="connection refused",
                next_attempt_ms=None,
                turn="them",
                advice="call",
                dead=1,
            ),
        )

    async def partners(self):
        return (PARTNER,)

    async def own_card(self):
        return SIGNED, "5678"

    async def add_partner(self, card, fingerprint):
        if fingerprint != "1234":
            raise FingerprintMismatch("not that card")
        self.calls.append(card)
        return PARTNER

    async def set_frozen(self, partner, *, frozen):
        if partner != VN:
            raise PartnerUnknown(partner.code)
        self.calls.append((partner, frozen))
        return PARTNER

    async def remove_partner(self, partner, *, discard_waiting):
        if partner != VN:
            raise PartnerUnknown(partner.code)
        if not discard_waiting:
            raise MessagesWait(partner.code, 2)
        self.calls.append(partner)
        return 2

    async def rotate(self, purpose, *, revoke):
        self.calls.append((purpose, revoke))
        return SIGNED, "5678"

    async def submit_local(self, request_id, request_digest, draft):
        self.calls.append((request_id, request_digest, draft))
        return SubmissionResult(SubmissionStatus.NEW, MessageId(b"m" * 16), ThreadId(b"t" * 16), b"c" * 32, 1000, 2000)

    async def validate_local(self, draft):
        return Validation(
            decision=Allow((), ""), body_bytes=len(draft.body_bytes), recipients=draft.recipients, expire_ms=2000
        )

    async def inbox(self, page_size, page_token, *, include_sent):
        return (stored(VN, 1)[0].row,), f"{page_size}{page_token}"

    async def find(self, beginning, *, include_sent):
        rows = [stored(VN, number)[0].row for number in range(1, 13)]
        return tuple(row for row in rows if str(row.message_id).startswith(beginning))

    async def open(self, row):
        return OpenedMessage(*stored(row.sender, row.message_id.raw[-1]))

    async def note_shown(self, opened):
        self.calls.append(("shown", opened.stored.row.message_id))

    async def note_listed(self, count):
        self.calls.append(("listed", count))

    async def delivery(self, message_id):
        if message_id != MessageId(b"m" * 16):
            raise NotFound("no such message")
        return stored(TH, 1)[0]

    @property
    def systems(self):
        return self

    def list(self):
        return ()

    async def rejected_callers(self):
        return ()

    async def test_partner(self, partner):
        return (TestStep(name="tls", passed=False, detail=partner.code, advice="compare cards"),)


@pytest.fixture
async def admin(tmp_path: Path):
    backend = MemoryBackend()
    listener = admin_listener(
        home=tmp_path,
        backend=backend,
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    await listener.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'admin.sock'}") as channel:
        yield AdminServiceStub(channel), backend
    await listener.stop(0)


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_status(rpc_status.from_call(caught.value))


async def test_the_socket_is_for_this_user_alone_and_goes_with_the_gateway(tmp_path):
    before = os.umask(0o022)
    try:
        listener = admin_listener(
            home=tmp_path,
            backend=MemoryBackend(),
            audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
            rejected=RejectedCallers(CLOCK),
        )
        await listener.start()
        path = tmp_path / "admin.sock"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.umask(0o022) == 0o022
        await listener.stop(0)
    finally:
        os.umask(before)


async def test_a_socket_left_over_by_a_dead_gateway_is_replaced(tmp_path):
    leftover = socket.socket(socket.AF_UNIX)
    leftover.bind(str(tmp_path / "admin.sock"))
    leftover.close()
    listener = admin_listener(
        home=tmp_path,
        backend=MemoryBackend(),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    await listener.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'admin.sock'}") as channel:
        assert (await AdminServiceStub(channel).GetStatus(pb.GetStatusRequest(), timeout=5)).partner == "th"
    await listener.stop(0)


async def test_a_path_too_long_for_a_socket_is_refused_in_words(tmp_path):
    home = tmp_path / ("d" * 120)
    home.mkdir()
    listener = admin_listener(
        home=home,
        backend=MemoryBackend(),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    with pytest.raises(ConfigInvalid):
        await listener.start()
    await listener.stop(0)


async def test_status_queues_and_partners_are_shown_whole(admin):
    stub, _ = admin
    status = await stub.GetStatus(pb.GetStatusRequest(), timeout=5)
    assert (status.partner, status.mode, status.start_time.seconds, list(status.warnings)) == (
        "th",
        "exercise",
        1,
        ["clock"],
    )
    assert (status.messages_sent, status.messages_received, status.waiting, status.partners) == (1, 2, 3, 4)
    (queue,) = (await stub.ListOutbox(pb.ListOutboxRequest(), timeout=5)).queues
    assert (queue.partner, queue.urgency, queue.oldest_time.seconds, queue.turn, queue.dead) == (
        "vn",
        "U0",
        7,
        "them",
        1,
    )
    assert not queue.HasField("next_attempt_time")
    (partner,) = (await stub.ListPartners(pb.ListPartnersRequest(), timeout=5)).partners
    assert (partner.name, partner.seal_key_end_time.seconds, partner.agreement) == ("Việt Nam", 5, True)
    assert not partner.HasField("last_success_time")
    own = await stub.GetOwnCard(pb.GetOwnCardRequest(), timeout=5)
    assert (own.card, own.fingerprint) == (signed_card_to_proto(SIGNED), "5678")


async def test_partners_are_added_frozen_and_tested(admin):
    stub, backend = admin
    card = signed_card_to_proto(SIGNED)
    await stub.AddPartner(pb.AddPartnerRequest(card=card, fingerprint="1234"), timeout=5)
    await stub.SetPartnerFrozen(pb.SetPartnerFrozenRequest(partner="vn", frozen=True), timeout=5)
    await stub.RotateKeys(pb.RotateKeysRequest(purpose="seal", revoke=True), timeout=5)
    assert backend.calls == [SIGNED, (VN, True), ("seal", True)]
    (step,) = (await stub.TestPartner(pb.TestPartnerRequest(partner="vn"), timeout=5)).steps
    assert (step.name, step.passed, step.detail, step.advice) == ("tls", False, "vn", "compare cards")


async def test_a_partner_is_removed_with_what_waits_for_it(admin):
    stub, backend = admin
    answer = await stub.RemovePartner(pb.RemovePartnerRequest(partner="vn", discard_waiting=True), timeout=5)
    assert (answer.discarded, backend.calls) == (2, [VN])


async def test_refusals_reach_the_operator_with_their_reason(admin):
    stub, backend = admin
    card = signed_card_to_proto(SIGNED)
    for call, reason in (
        (stub.AddPartner(pb.AddPartnerRequest(card=card, fingerprint="9"), timeout=5), "FINGERPRINT_MISMATCH"),
        (stub.AddPartner(pb.AddPartnerRequest(fingerprint="9"), timeout=5), "FIELD_INVALID"),
        (stub.SetPartnerFrozen(pb.SetPartnerFrozenRequest(partner="la"), timeout=5), "PARTNER_UNKNOWN"),
        (stub.SetPartnerFrozen(pb.SetPartnerFrozenRequest(partner="LA"), timeout=5), "FIELD_INVALID"),
        (stub.RemovePartner(pb.RemovePartnerRequest(partner="vn"), timeout=5), "MESSAGES_WAIT"),
        (stub.RemovePartner(pb.RemovePartnerRequest(partner="la", discard_waiting=True), timeout=5), "PARTNER_UNKNOWN"),
        (stub.RemovePartner(pb.RemovePartnerRequest(), timeout=5), "FIELD_INVALID"),
        (stub.GetDelivery(pb.GetDeliveryRequest(message_id=b"x" * 16), timeout=5), "NOT_FOUND"),
        (stub.GetDelivery(pb.GetDeliveryRequest(message_id=b"x"), timeout=5), "FIELD_INVALID"),
        (stub.SubmitLocal(pb.SubmitLocalRequest(), timeout=5), "FIELD_INVALID"),
    ):
        assert (await refusal(call))[1].reason == reason
    assert backend.calls == []


async def test_a_draft_is_submitted_or_only_validated(admin):
    stub, backend = admin
    submit = exchange_pb.SubmitMessageRequest(request_id=str(uuid.UUID(int=5)), draft=DRAFT)
    validated = await stub.SubmitLocal(pb.SubmitLocalRequest(submit=submit, validate_only=True), timeout=5)
    assert validated.validation.verdict == exchange_pb.ValidateMessageResponse.VERDICT_ALLOW
    assert backend.calls == []
    accepted = await stub.SubmitLocal(pb.SubmitLocalRequest(submit=submit), timeout=5)
    assert accepted.accepted.message_id == b"m" * 16
    ((request_id, _, draft),) = backend.calls
    assert (request_id, draft.body) == ((5).to_bytes(16, "big"), BODY)


async def test_the_inbox_shows_headlines_and_one_message_its_body_each_recorded_as_what_it_was(admin):
    stub, backend = admin
    inbox = await stub.ListInbox(pb.ListInboxRequest(page_size=7, page_token="t"), timeout=5)
    assert inbox.messages[0].body == message_pb2.Body(authority=BODY.authority.name)
    assert inbox.next_page_token == "7t"
    assert backend.calls == [("listed", 1)]
    backend.calls.clear()
    last = str(stored(VN, 12)[0].row.message_id)
    shown = await stub.ShowMessage(pb.ShowMessageRequest(beginning=last), timeout=5)
    assert shown.message.body.SerializeToString(deterministic=True) == BODY_BYTES
    assert backend.calls == [("shown", MessageId((12).to_bytes(16, "big")))]
    backend.calls.clear()
    several = await stub.ShowMessage(pb.ShowMessageRequest(beginning=last[:-1]), timeout=5)
    assert (several.found, several.HasField("message"), len(several.candidates)) == (12, False, 10)
    assert not any(candidate.HasField("body") for candidate in several.candidates)
    assert (await stub.ShowMessage(pb.ShowMessageRequest(beginning="ffffff"), timeout=5)).found == 0
    for beginning in ("", "00000", "00000G", "0" * 37, "ก" * 6):
        code, told = await refusal(stub.ShowMessage(pb.ShowMessageRequest(beginning=beginning), timeout=5))
        assert (code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert backend.calls == []
    delivery = await stub.GetDelivery(pb.GetDeliveryRequest(message_id=b"m" * 16), timeout=5)
    assert delivery.message.deliveries[0].proof.issuer == "vn"


async def test_a_bug_answers_an_incident_and_no_detail(admin):
    stub, backend = admin

    async def fail():
        raise RuntimeError("secret")

    backend.status = fail
    with capture_logs() as logs:
        code, told = await refusal(stub.GetStatus(pb.GetStatusRequest(), timeout=5))
    assert (code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in str(logs)


async def test_all_listeners_start_and_stop_together(tmp_path):
    th = state(TH)
    partners, systems = new_federation(th), new_exchange(th)
    admin = admin_listener(
        home=tmp_path,
        backend=MemoryBackend(),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    servers = Servers(federation=partners.listener, exchange=systems.listener, admin=admin)
    bound = await servers.start()
    assert is_open(bound.federation)
    assert is_open(bound.exchange)
    assert (tmp_path / "admin.sock").exists()
    await servers.stop(1)
    assert not is_open(bound.federation)
    assert not is_open(bound.exchange)


async def test_a_gateway_without_systems_has_no_exchange_listener(tmp_path):
    admin = admin_listener(
        home=tmp_path,
        backend=MemoryBackend(),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    servers = Servers(federation=new_federation(state(TH)).listener, exchange=None, admin=admin)
    bound = await servers.start()
    assert bound.exchange is None
    await servers.stop(1)


async def test_one_listener_that_cannot_start_stops_the_others(tmp_path):
    home = tmp_path / ("d" * 120)
    home.mkdir()
    admin = admin_listener(
        home=home,
        backend=MemoryBackend(),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        rejected=RejectedCallers(CLOCK),
    )
    partners = new_federation(state(TH))
    started = []
    start = partners.listener.start

    async def note():
        started.append(await start())
        return started[0]

    partners.listener.start = note
    with pytest.raises(ConfigInvalid):
        await Servers(federation=partners.listener, exchange=None, admin=admin).start()
    assert started
    assert not is_open(started[0])


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_a_port_that_is_taken_is_refused_in_words():
    th = state(TH)
    async with federation(th) as running:
        second = new_federation(th, address=running.endpoint)
        with pytest.raises(ConfigInvalid):
            await second.listener.start()
        await second.listener.stop(0)
