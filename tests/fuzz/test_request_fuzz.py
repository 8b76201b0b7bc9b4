"""Bytes and wild fields into the requests of every method, and a partner's or gateway's words into who calls it.

Requests go through the guard's own parser to the real servicers over a real store.
"""

import asyncio
import contextlib

import grpc
import pytest
from concord.v1 import (
    admin_service_pb2,
    audit_service_pb2,
    exchange_service_pb2,
    federation_service_pb2,
    message_pb2,
)
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from adapters.carriers.grpc_link import cause_of
from gateway.client.errors import error_of_status
from gateway.errors import FieldInvalid, GatewayError, MessageTooLarge
from gateway.exchange.mark_alert import AlertMarker
from gateway.exchange.read_log import LogReader
from gateway.exchange.submission import Submitter
from gateway.ids import AuthorityId
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.callers import Caller
from gateway.rpc.convert.message import draft_to_proto
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.rpc.guard import _parse, _Route
from gateway.rpc.methods import CallerKind, methods_of, row_of
from gateway.rpc.status import from_status, to_status
from tests.fuzz.changes import FUZZ, neighbours, sprinkled, taken, taken_async
from tests.sim.nations import Nation, Network

SERVICES = (
    exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    federation_service_pb2.DESCRIPTOR.services_by_name["FederationService"],
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
)
ROUTES = {
    method.name: _Route(method.full_name, row_of(method), GetMessageClass(method.input_type), None)
    for service in SERVICES
    for method in methods_of(service)
}
SYSTEM = Caller(kind=CallerKind.SYSTEM, principal="system/early-warning")
AUDITOR = Caller(kind=CallerKind.AUDITOR, principal="auditor/court")


@FUZZ(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_request_of_every_method(data):
    for route in ROUTES.values():
        taken(lambda item, route=route: _parse(route, item), data)


@pytest.mark.parametrize("name", ROUTES)
def test_a_request_larger_than_its_row_allows(name):
    with pytest.raises(MessageTooLarge):
        _parse(ROUTES[name], bytes(ROUTES[name].row.max_bytes + 1))


# --- to the servicers --------------------------------------------------------------------------------------------


class World:
    """A gateway with messages and a log, and what answers systems and auditors."""

    def __init__(self, nation: Nation, loop: asyncio.AbstractEventLoop) -> None:
        self.nation, self.loop = nation, loop
        submitter = Submitter(principal=SYSTEM.principal, authorities=frozenset({AuthorityId("cn/early-warning")}))
        self.exchange = ExchangeServicer(
            own=nation.partner, submitting=nation.submit, reading=nation.reader, acknowledging=nation.acknowledge,
            marking=AlertMarker(store=nation.store, clock=nation.clock, own=nation.partner),
            submitters={SYSTEM.principal: submitter},
        )  # fmt: skip
        log = LogReader(store=nation.store, clock=nation.clock, keeper=nation.log)
        # Made once: what is drawn must not depend on the time.
        self.draft = draft_to_proto(nation.draft("la")).SerializeToString()
        self.audit = AuditServicer(store=nation.store, keeper=nation.log, reading=log, receipts=None)

    def call(self, servicer, name, request, caller) -> bool:
        async def run(data):
            function = getattr(servicer, "_".join(_words(name)))
            await function(_parse(ROUTES[name], data), caller)

        return self.loop.run_until_complete(taken_async(run, request.SerializeToString()))


def _words(name: str):
    word = ""
    for letter in name:
        if letter.isupper() and word:
            yield word.lower()
            word = ""
        word += letter
    yield word.lower()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    loop = asyncio.new_event_loop()
    base = tmp_path_factory.mktemp("requests")

    async def make():
        network = Network()
        cn, la = await Nation.start("cn", base, network), await Nation.start("la", base, network)
        await cn.befriend(la)
        sent = [await cn.send("la") for _ in range(3)]
        await la.stop()
        return cn, sent

    nation, sent = loop.run_until_complete(make())
    yield World(nation, loop), sent
    loop.run_until_complete(nation.stop())
    loop.close()


NUMBERS = st.sampled_from((0, 1, 2, 3, 255, 256, 1000, 2**31, 2**32 - 1, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1))
TEXTS = st.sampled_from(("", "la", "cn", "xx", "LA", "\x00", "\u202e", "a" * 300, "l15", "cDE"))


@FUZZ(max_examples=150)
@given(data=st.data())
def test_wild_questions_about_the_log(world, data):
    found, _ = world
    pb = audit_service_pb2
    small = st.integers(0, 2**32 - 1) | st.integers(0, 9) | st.sampled_from((256, 257))
    requests = {
        "ListEntries": pb.ListEntriesRequest(
            first=data.draw(NUMBERS), count=data.draw(small), disclose=data.draw(st.booleans())
        ),
        "ProveConsistency": pb.ProveConsistencyRequest(old_size=data.draw(NUMBERS), new_size=data.draw(NUMBERS)),
        "GetTile": pb.GetTileRequest(level=data.draw(small), number=data.draw(NUMBERS), width=data.draw(small)),
        "SearchEntries": pb.SearchEntriesRequest(
            partner=data.draw(TEXTS), actor=data.draw(TEXTS), page_token=data.draw(TEXTS), page_size=1
        ),
        "GetHead": pb.GetHeadRequest(),
    }
    prove = pb.ProveEntryRequest()
    if data.draw(st.booleans()):
        prove.index = data.draw(NUMBERS)
    else:
        prove.message_id = data.draw(st.sampled_from((b"", bytes(16), bytes(15), bytes(17))))
    requests["ProveEntry"] = prove
    for name, request in requests.items():
        found.call(found.audit, name, request, AUDITOR)
    assert found.call(found.audit, "ListEntries", pb.ListEntriesRequest(first=0, count=2), AUDITOR)


@FUZZ(max_examples=100)
@given(data=st.data())
def test_wild_requests_of_a_national_system(world, data):
    found, sent = world
    pb = exchange_service_pb2
    ids = st.sampled_from((sent[0].message_id.raw, bytes(16), b"", bytes(17)))
    for name, request in {
        "GetMessage": pb.GetMessageRequest(message_id=data.draw(ids), sender=data.draw(TEXTS)),
        "ListMessages": pb.ListMessagesRequest(
            direction=data.draw(st.integers(0, 9)), page_size=data.draw(st.integers(-9, 2**31 - 1)),
            page_token=data.draw(TEXTS),
        ),
        "AcknowledgeMessage": pb.AcknowledgeMessageRequest(message_id=data.draw(ids), sender=data.draw(TEXTS)),
    }.items():  # fmt: skip
        found.call(found.exchange, name, request, SYSTEM)
    get = pb.GetMessageRequest(message_id=sent[0].message_id.raw)
    assert found.call(found.exchange, "GetMessage", get, SYSTEM)


@FUZZ(max_examples=150)
@given(data=st.data())
def test_sprinkled_drafts(world, data):
    found, sent = world
    pb = exchange_service_pb2
    good = pb.ValidateMessageRequest(draft=message_pb2.Draft.FromString(found.draft))
    assert found.call(found.exchange, "ValidateMessage", good, SYSTEM)
    draft = message_pb2.Draft.FromString(found.draft)
    if data.draw(st.booleans()):
        draft.in_reply_to = data.draw(st.sampled_from((sent[0].message_id.raw, bytes(16), b"short")))
    if data.draw(st.booleans()):
        draft.expire_time.seconds = data.draw(st.sampled_from((0, 1, 2_000_000_000, 253_402_300_799, 2**62, -1)))
    for draft_bytes in (draft.SerializeToString(), data.draw(sprinkled(found.draft))):
        with contextlib.suppress(DecodeError):
            request = pb.SubmitMessageRequest(request_id="019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f")
            request.draft.MergeFromString(draft_bytes)
            found.call(found.exchange, "ValidateMessage", pb.ValidateMessageRequest(draft=request.draft), SYSTEM)
            found.call(found.exchange, "SubmitMessage", request, SYSTEM)


# --- and what is said back ---------------------------------------------------------------------------------------


class Failed(grpc.aio.AioRpcError):
    """A call that ended with these trailing bytes."""

    def __init__(self, trailing: bytes) -> None:
        metadata = grpc.aio.Metadata(("grpc-status-details-bin", trailing))
        super().__init__(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), metadata, "words")


def read_status(data: bytes) -> None:
    """Read a status as the carrier, the client and the command line do."""
    assert cause_of(Failed(data)).isprintable()
    try:
        status = status_pb2.Status.FromString(data)
        told = from_status(status)
    except DecodeError:
        # The command line says then that the gateway does not speak in our words.
        told = None
    else:
        error = error_of_status(status, grpc.StatusCode.INTERNAL)
        assert error is None or isinstance(error, GatewayError)
    assert told is None or len(told.text) <= 1024


STATUS = to_status(FieldInvalid("draft.body", "is required"))


def test_every_byte_of_a_status():
    data = STATUS.SerializeToString()
    read_status(data)
    for changed in neighbours(data):
        read_status(changed)


@FUZZ(max_examples=100)
@given(data=st.data())
def test_wild_statuses(data):
    status = status_pb2.Status.FromString(STATUS.SerializeToString())
    info = error_details_pb2.ErrorInfo(
        reason=data.draw(st.sampled_from(("FIELD_INVALID", "INTERNAL", "POLICY_DENIED", "QUOTA_EXCEEDED", "x\n", ""))),
        domain=data.draw(st.sampled_from(("concord.v1", "other"))),
    )
    for name in ("field", "ruleIds", "retryAfterMs", "maxBytes", "partner", "incidentId"):
        info.metadata[name] = data.draw(st.sampled_from(("", "-1", "9" * 30, "٣", "a," * 500, "\x00", "1e9")))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = data.draw(st.sampled_from((0, -1, 2**62, 315_576_000_000)))
    del status.details[:]
    for detail in data.draw(st.permutations((info, retry, error_details_pb2.BadRequest()))):
        status.details.add().Pack(detail)
    if data.draw(st.booleans()):
        status.details.add(type_url=status.details[0].type_url, value=data.draw(st.binary(max_size=20)))
    read_status(status.SerializeToString())
    read_status(data.draw(sprinkled(status.SerializeToString())))
