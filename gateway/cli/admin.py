"""Asks the running gateway over the Unix socket in its home.

The socket stands in a directory that only the gateway's own user may enter: possession is the authentication.
"""

import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import grpc
from concord.v1 import admin_service_pb2 as pb
from concord.v1 import audit_service_pb2 as audit
from concord.v1 import exchange_service_pb2 as exchange
from concord.v1.admin_service_pb2_grpc import AdminServiceStub
from concord.v1.audit_service_pb2_grpc import AuditServiceStub
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from gateway.cli.failure import ExitCode, Failure, about_partner, exit_code_of
from gateway.errors import GatewayUnreachable
from gateway.rpc.status import DETAILS_KEY, REASONS, ToldError, from_status

SOCKET_FILE: Final = "admin.sock"
TIMEOUT_S: Final = 10.0
"""A local call that takes longer means a gateway that hangs."""
SUBMIT_TIMEOUT_S: Final = 30.0
TEST_TIMEOUT_S: Final = 60.0
"""`partner test` waits for a sealed ping to come back."""
REMOVE_TIMEOUT_S: Final = 120.0
"""`partner remove --discard-waiting` signs a negative for each message that waits."""
MAX_ANSWER_BYTES: Final = 256 << 20
"""A page of a list has up to 1,000 messages with all their headlines."""


class AdminClient:
    """The gateway of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._path = (home / SOCKET_FILE).absolute()
        try:
            found = stat.S_ISSOCK(self._path.stat().st_mode)
        except OSError:
            found = False
        if not found:
            raise self._unreachable("there is no socket")
        options = [("grpc.max_receive_message_length", MAX_ANSWER_BYTES), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(f"unix:{self._path}", options=options)
        self._stub = AdminServiceStub(self._channel)
        self._audit = AuditServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def status(self, timeout_s: float = TIMEOUT_S) -> pb.GetStatusResponse:
        """Return who runs and how it does."""
        with self._errors("ask the gateway how it is"):
            return self._stub.GetStatus(pb.GetStatusRequest(), timeout=timeout_s)

    def outbox(self) -> pb.ListOutboxResponse:
        """Return what waits for each partner."""
        with self._errors("ask what waits"):
            return self._stub.ListOutbox(pb.ListOutboxRequest(), timeout=TIMEOUT_S)

    def partners(self) -> pb.ListPartnersResponse:
        """Return the partners known."""
        with self._errors("list partners"):
            return self._stub.ListPartners(pb.ListPartnersRequest(), timeout=TIMEOUT_S)

    def own_card(self) -> pb.GetOwnCardResponse:
        """Return the gateway's own signed card."""
        with self._errors("fetch the gateway's own card"):
            return self._stub.GetOwnCard(pb.GetOwnCardRequest(), timeout=TIMEOUT_S)

    def add_partner(self, request: pb.AddPartnerRequest) -> pb.AddPartnerResponse:
        """Add or renew a partner."""
        with self._errors("add the partner"):
            return self._stub.AddPartner(request, timeout=TIMEOUT_S)

    def freeze(self, partner: str, frozen: bool) -> pb.SetPartnerFrozenResponse:
        """Stop or resume exchange with a partner."""
        with self._errors(f"{'freeze' if frozen else 'thaw'} exchange with '{partner}'"):
            request = pb.SetPartnerFrozenRequest(partner=partner, frozen=frozen)
            return self._stub.SetPartnerFrozen(request, timeout=TIMEOUT_S)

    def remove(self, partner: str, discard_waiting: bool) -> pb.RemovePartnerResponse:
        """Forget a partner."""
        with self._errors(f"remove '{partner}'"):
            request = pb.RemovePartnerRequest(partner=partner, discard_waiting=discard_waiting)
            return self._stub.RemovePartner(request, timeout=REMOVE_TIMEOUT_S)

    def rotate(self, purpose: str, revoke: bool) -> pb.RotateKeysResponse:
        """Make new keys of one purpose and a new card."""
        with self._errors(f"rotate the {purpose} key"):
            return self._stub.RotateKeys(pb.RotateKeysRequest(purpose=purpose, revoke=revoke), timeout=TIMEOUT_S)

    def submit(self, request: pb.SubmitLocalRequest) -> pb.SubmitLocalResponse:
        """Submit a draft as an authority of this state, or only validate it."""
        with self._errors("check the draft" if request.validate_only else "submit the draft"):
            return self._stub.SubmitLocal(request, timeout=SUBMIT_TIMEOUT_S)

    def inbox(self, page_size: int, page_token: str = "", *, include_sent: bool = False) -> pb.ListInboxResponse:
        """Return a page of received messages with their headlines, newest first; if so asked, sent ones too."""
        with self._errors("read the inbox"):
            request = pb.ListInboxRequest(page_size=page_size, page_token=page_token, include_sent=include_sent)
            return self._stub.ListInbox(request, timeout=TIMEOUT_S)

    def mark_alert(self, view: exchange.MessageView, mark: exchange.AlertMark.ValueType) -> pb.MarkInboxAlertResponse:
        """Record what this state does with a received alert."""
        with self._errors("mark the alert"):
            request = pb.MarkInboxAlertRequest(message_id=view.message_id, sender=view.sender, mark=mark)
            return self._stub.MarkInboxAlert(request, timeout=TIMEOUT_S)

    def show(self, beginning: str, *, include_sent: bool = False) -> pb.ShowMessageResponse:
        """Return the one message whose id begins so, with all that it says."""
        with self._errors("find the message"):
            request = pb.ShowMessageRequest(beginning=beginning, include_sent=include_sent)
            return self._stub.ShowMessage(request, timeout=TIMEOUT_S)

    def delivery(self, message_id: bytes) -> pb.GetDeliveryResponse:
        """Return where a sent message stands with each recipient."""
        with self._errors("ask where the message stands"):
            return self._stub.GetDelivery(pb.GetDeliveryRequest(message_id=message_id), timeout=TIMEOUT_S)

    def cases(self, *, include_ended: bool, limit: int) -> pb.ListCasesResponse:
        """Return cases without content, what changed last first."""
        with self._errors("list cases"):
            request = pb.ListCasesRequest(include_ended=include_ended, page_size=limit)
            return self._stub.ListCases(request, timeout=TIMEOUT_S)

    def case(self, beginning: str, partner: str) -> pb.ShowCaseResponse:
        """Return the one case whose id begins so, with its history."""
        with self._errors("find the case"):
            request = pb.ShowCaseRequest(beginning=beginning, partner=partner)
            return self._stub.ShowCase(request, timeout=TIMEOUT_S)

    def test(self, partner: str) -> pb.TestPartnerResponse:
        """Prove the link to a partner step by step."""
        with self._errors(f"test the link to '{partner}'"):
            return self._stub.TestPartner(pb.TestPartnerRequest(partner=partner), timeout=TEST_TIMEOUT_S)

    def begin_log(self, origin: str, reason: str) -> pb.BeginLogResponse:
        """End the exchange log of this name and begin another one."""
        with self._errors("begin another log"):
            return self._stub.BeginLog(pb.BeginLogRequest(origin=origin, reason=reason), timeout=TIMEOUT_S)

    def log_head(self, log: int = 0) -> audit.GetHeadResponse:
        """Return where an exchange log of this gateway stands: the present one, or one that ended."""
        with self._errors("ask where the log stands"):
            return self._audit.GetHead(audit.GetHeadRequest(log=log), timeout=TIMEOUT_S)

    def log_search(self, request: audit.SearchEntriesRequest) -> audit.SearchEntriesResponse:
        """Return a page of entries that match."""
        with self._errors("search the log"):
            return self._audit.SearchEntries(request, timeout=TIMEOUT_S)

    def log_entries(self, first: int, count: int, *, disclose: bool, log: int = 0) -> Sequence[audit.LogEntryView]:
        """Return entries in order."""
        with self._errors("read the log"):
            request = audit.ListEntriesRequest(first=first, count=count, disclose=disclose, log=log)
            return self._audit.ListEntries(request, timeout=TIMEOUT_S).entries

    def log_tile(self, level: int, number: int, width: int, log: int = 0) -> bytes:
        """Return the hashes of a tile."""
        with self._errors("read the log"):
            request = audit.GetTileRequest(level=level, number=number, width=width, log=log)
            return self._audit.GetTile(request, timeout=TIMEOUT_S).hashes

    def log_prove(self, request: audit.ProveEntryRequest) -> audit.ProveEntryResponse:
        """Return an entry with its proof."""
        with self._errors("prove the entry"):
            # A partner is asked over the line.
            timeout_s = TEST_TIMEOUT_S if request.partner else TIMEOUT_S
            return self._audit.ProveEntry(request, timeout=timeout_s)

    def log_check(self) -> Iterator[audit.CheckLogResponse]:
        """Yield how far a check of the whole log is."""
        with self._errors("check the log"):
            yield from self._audit.CheckLog(audit.CheckLogRequest())

    def rejected(self) -> pb.ListRejectedCallersResponse:
        """Return callers that were turned away."""
        with self._errors("list the callers that were turned away"):
            return self._stub.ListRejectedCallers(pb.ListRejectedCallersRequest(), timeout=TIMEOUT_S)

    def systems(self) -> pb.ListSystemsResponse:
        """Return systems and auditors."""
        with self._errors("list systems and auditors"):
            return self._stub.ListSystems(pb.ListSystemsRequest(), timeout=TIMEOUT_S)

    def add_system(self, request: pb.AddSystemRequest) -> pb.AddSystemResponse:
        """Register a system or auditor."""
        with self._errors(f"add the {request.role}"):
            return self._stub.AddSystem(request, timeout=TIMEOUT_S)

    def renew_system(self, request: pb.RenewSystemRequest) -> pb.RenewSystemResponse:
        """Fetch another certificate."""
        with self._errors(f"renew the certificate of the {request.role}"):
            return self._stub.RenewSystem(request, timeout=TIMEOUT_S)

    def remove_system(self, role: str, name: str) -> pb.RemoveSystemResponse:
        """Take a registration back."""
        with self._errors(f"remove the {role}"):
            return self._stub.RemoveSystem(pb.RemoveSystemRequest(role=role, name=name), timeout=TIMEOUT_S)

    def _unreachable(self, why: str) -> Failure:
        return Failure(
            f"cannot reach a gateway on {self.home}",
            why=f"{why} at {self._path}",
            advice=f"start it with `concord up --home {shlex.quote(str(self.home))}`, or name another home with --home",
            reason=GatewayUnreachable.reason,
            code=ExitCode.UNREACHABLE,
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise self._failure(error, doing) from None

    def _failure(self, error: grpc.RpcError, doing: str) -> Failure:
        code = error.code()
        told = told_error(error)
        if told is not None:
            return told_failure(told, doing)
        if code is grpc.StatusCode.UNAVAILABLE:
            return self._unreachable("nobody answers")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Failure(
                f"could not {doing}",
                why="the gateway did not answer in time",
                advice="ask again; if it keeps happening, look at the gateway's log",
                reason=GatewayUnreachable.reason,
                code=ExitCode.UNREACHABLE,
            )
        return Failure(
            f"could not {doing}",
            why=error.details() or code.name,
            advice="look at the gateway's log",
            reason=code.name,
            code=ExitCode.REFUSED,
        )


def told_failure(told: ToldError, doing: str) -> Failure:
    """Return the failure that shows what a gateway said."""
    kind = REASONS.get(told.reason)
    advice = kind.advice if kind else f"give the operator the incident id {told.incident_id}"
    details: dict[str, Any] = {
        "field": told.field,
        "rule_ids": list(told.rule_ids),
        "retry_after_ms": told.retry_after_ms,
        "max_bytes": told.max_bytes,
        "partner": told.partner,
        "incident_id": told.incident_id,
    }
    return Failure(
        f"could not {doing}",
        # On the wire the text ends with the advice, which has a line of its own here.
        why=told.text.removesuffix(f" ({advice})"),
        advice=about_partner(advice, told.partner),
        reason=told.reason,
        code=exit_code_of(told.reason, told.retryable),
        details={name: value for name, value in details.items() if value},
    )


def told_error(error: grpc.RpcError) -> ToldError | None:
    """Return what the gateway says went wrong, if it speaks in our words."""
    # The stubs call this an opaque thing; it is pairs, or None.
    trailing: Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == DETAILS_KEY:
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                return None
    return None
