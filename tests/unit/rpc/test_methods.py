import pytest

from gateway.rpc import methods
from gateway.rpc.admin_servicer import AdminServicer
from gateway.rpc.approval_servicer import ApprovalServicer
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.callers import SocketAuthenticator
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.rpc.federation_servicer import FederationServicer
from gateway.rpc.guard import Guard, handler_name
from gateway.rpc.health import HealthServicer, ReflectionServicer
from gateway.rpc.methods import (
    COMES_BY,
    METHODS,
    CallerKind,
    Listener,
    Scope,
    Verdict,
    methods_of,
    row_of,
    services,
    services_on,
    verdict,
)
from gateway.rpc.rejected import RejectedCallers

SERVICERS = {
    "ExchangeService": ExchangeServicer,
    "ApprovalService": ApprovalServicer,
    "AuditService": AuditServicer,
    "FederationService": FederationServicer,
    "AdminService": AdminServicer,
    "Health": HealthServicer,
    "ServerReflection": ReflectionServicer,
}


def test_every_method_has_a_row_and_every_row_a_method():
    assert {method.full_name for service in services() for method in methods_of(service)} == set(METHODS)


def test_every_service_is_on_the_listeners_of_its_rows():
    found = [(item.full_name, listener) for listener in Listener for item in services_on(listener)]
    assert len(found) == len(set(found))
    assert {name for name, _ in found} == {item.full_name for item in services()}
    audit = {listener for name, listener in found if name == "concord.v1.AuditService"}
    assert audit == {Listener.EXCHANGE, Listener.ADMIN}


def test_every_method_offered_is_implemented_and_no_other():
    for service in services():
        servicer = SERVICERS.get(service.name)
        for method in methods_of(service):
            has = hasattr(servicer, handler_name(method.name)) if servicer else False
            assert has is row_of(method).offered, method.full_name


def test_the_table_is_total_and_every_row_has_somebody_who_can_come():
    for name, row in METHODS.items():
        for listener in Listener:
            cells = {kind: verdict(name, kind, listener) for kind in CallerKind}
            absent = [kind for kind, cell in cells.items() if cell is Verdict.ABSENT]
            assert bool(absent) is (listener not in row.listeners), name
            if listener in row.listeners:
                good = Verdict.ALLOWED if row.offered else Verdict.UNIMPLEMENTED
                assert {kind for kind, cell in cells.items() if cell is good} == row.callers & COMES_BY[listener], name
                assert row.callers & COMES_BY[listener], name


def test_the_kinds_of_one_listener_never_come_on_another():
    kinds = [kind for listener in Listener for kind in COMES_BY[listener]]
    assert len(kinds) == len(set(kinds))
    assert set(CallerKind) == set(kinds)


def test_only_what_tokens_can_reach_has_a_scope():
    assert all(row.scope is None for row in METHODS.values() if Listener.EXCHANGE not in row.listeners)
    for name in METHODS:
        if ".Submit" in name and "Local" not in name:
            assert METHODS[name].scope is Scope.SUBMIT


def test_a_method_without_a_row_has_no_verdict():
    with pytest.raises(LookupError):
        verdict("concord.v1.ExchangeService.Other", CallerKind.SYSTEM, Listener.EXCHANGE)


def test_every_stream_has_an_age_and_every_unary_call_none():
    for service in services():
        for method in methods_of(service):
            streams = method.client_streaming or method.server_streaming
            assert (row_of(method).max_age_s is not None) is bool(streams), method.full_name


def test_every_method_is_offered():
    assert all(row.offered for row in METHODS.values())


def test_only_officers_decide():
    deciding = {name for name, row in METHODS.items() if row.scope is Scope.DECIDE}
    assert deciding == {n for n in METHODS if "ApprovalService" in n and not n.endswith("ListProposals")}
    assert all(METHODS[name].callers == {CallerKind.OFFICER} for name in deciding)


def guard(listener: Listener) -> Guard:
    return Guard(listener, SocketAuthenticator(), RejectedCallers(None))


def test_a_method_without_a_row_keeps_the_gateway_from_starting(monkeypatch):
    monkeypatch.delitem(methods.METHODS, "concord.v1.AdminService.GetStatus")
    with pytest.raises(LookupError, match="GetStatus"):
        services_on(Listener.ADMIN)


def test_a_service_on_the_wrong_listener_keeps_the_gateway_from_starting():
    admin = next(item for item in services_on(Listener.ADMIN) if item.name == "AdminService")
    with pytest.raises(LookupError, match="not for the federation listener"):
        guard(Listener.FEDERATION).handlers(admin, AdminServicer(None))


def test_a_servicer_that_lacks_a_method_keeps_the_gateway_from_starting():
    admin = next(item for item in services_on(Listener.ADMIN) if item.name == "AdminService")
    with pytest.raises(LookupError, match="nothing implements"):
        guard(Listener.ADMIN).handlers(admin, object())


def test_names_of_functions_follow_from_names_of_methods():
    assert handler_name("SubmitMessage") == "submit_message"
    assert handler_name("Link") == "link"
    assert handler_name("ServerReflectionInfo") == "server_reflection_info"
