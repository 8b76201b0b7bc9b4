"""Every method, every kind of caller, every listener: over real connections, and compared with the table."""

import contextlib

import grpc

from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.methods import METHODS, CallerKind, Listener, Verdict, verdict
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.server import SOCKET_FILE, admin_listener
from tests.integration.called import met
from tests.integration.rpc_setup import (
    CLOCK,
    COURT,
    EARLY_WARNING,
    OFFICER,
    TH,
    VN,
    Registrations,
    auditor_identity,
    channel,
    exchange,
    federation,
    officer_identity,
    state,
    system_identity,
)
from tests.integration.test_rpc_admin import MemoryBackend

OWN, PARTNER = state(TH), state(VN)
ROOT = OWN.authority[1]
SHOWN = {
    CallerKind.PARTNER: PARTNER.identity,
    CallerKind.SYSTEM: system_identity(OWN, "early-warning"),
    CallerKind.AUDITOR: auditor_identity(OWN, "court"),
    CallerKind.OFFICER: officer_identity(OWN, "somchai"),
}


async def test_every_pair_meets_what_the_table_says(tmp_path):
    known = Registrations({"system/early-warning": EARLY_WARNING, "auditor/court": COURT, "officer/somchai": OFFICER})
    async with contextlib.AsyncExitStack() as stack:
        fed = await stack.enter_async_context(federation(OWN, PARTNER))
        exc = await stack.enter_async_context(exchange(OWN, submitters=known))
        admin = admin_listener(
            home=tmp_path,
            backend=MemoryBackend(),
            audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
            rejected=RejectedCallers(CLOCK),
        )
        await admin.start()
        stack.push_async_callback(admin.stop, 0)
        socket = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{tmp_path / SOCKET_FILE}"))
        tried = 0
        for listener, port in ((Listener.FEDERATION, fed.port), (Listener.EXCHANGE, exc.port)):
            for kind in CallerKind:
                if kind is CallerKind.OPERATOR:
                    # An operator is whoever holds the socket; over TLS there is no such caller to show.
                    continue
                raw = await stack.enter_async_context(channel(SHOWN[kind], ROOT, port))
                for name in METHODS:
                    code, reason = await met(raw, name)
                    _check(name, kind, listener, code, reason)
                    tried += 1
        for name in METHODS:
            code, reason = await met(socket, name)
            _check(name, CallerKind.OPERATOR, Listener.ADMIN, code, reason)
            tried += 1
        assert tried == len(METHODS) * (2 * (len(CallerKind) - 1) + 1)


def _check(name: str, kind: CallerKind, listener: Listener, code: grpc.StatusCode, reason: str) -> None:
    expected = verdict(name, kind, listener)
    where = (name, kind, listener, code, reason)
    if kind is CallerKind.PARTNER and listener is Listener.EXCHANGE:
        # TLS itself refuses who shows nothing that leads to a root known there.
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, ""), where
        assert expected in {Verdict.ABSENT, Verdict.STRANGER}, where
        return
    match expected:
        case Verdict.ABSENT:
            assert (code, reason) == (grpc.StatusCode.UNIMPLEMENTED, ""), where
        case Verdict.ALLOWED:
            refusals = {"CALLER_UNKNOWN", "METHOD_NOT_ALLOWED", "METHOD_UNIMPLEMENTED", "TOKEN_REJECTED"}
            assert reason not in refusals, where
            assert code not in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}, where
        case _:
            assert reason == expected.value, where
