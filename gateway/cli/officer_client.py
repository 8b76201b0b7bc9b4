"""Calls the exchange listener as an officer, by the officer's own certificate and key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import grpc
from concord.v1 import approval_service_pb2 as pb
from concord.v1.approval_service_pb2_grpc import ApprovalServiceStub
from google.protobuf.message import Message

from gateway.cli.admin import told_error, told_failure
from gateway.cli.failure import ExitCode, Failure, usage
from gateway.errors import GatewayUnreachable

TIMEOUT_S: Final = 30.0
MAX_FILE_BYTES: Final = 1 << 20
MAX_ANSWER_BYTES: Final = 8 << 20
"""A draft of 2 MB and its history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where an officer calls, and what shows who it is."""

    target: str
    roots: Path
    chain: Path
    key: Path


class OfficerClient:
    """The gateway as an officer meets it."""

    def __init__(self, door: Door) -> None:
        self._target = door.target
        credentials = grpc.ssl_channel_credentials(
            _read(door.roots, "--roots"), _read(door.key, "--key"), _read(door.chain, "--chain")
        )
        options = [("grpc.max_receive_message_length", MAX_ANSWER_BYTES), ("grpc.enable_retries", 0)]
        self._channel = grpc.secure_channel(door.target, credentials, options=options)
        self._stub = ApprovalServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def list(self, *, include_ended: bool) -> Iterator[pb.Proposal]:
        """Yield held drafts, newest first."""
        token = ""
        while True:
            request = pb.ListProposalsRequest(page_token=token, include_ended=include_ended)
            page: pb.ListProposalsResponse = self.call("ListProposals", request, "list what is held")
            yield from page.proposals
            token = page.next_page_token
            if not token:
                return

    def find(self, beginning: str) -> bytes:
        """Return the id of the one proposal whose id begins so.

        Raises:
            Failure: None does, or several do.
        """
        wanted = beginning.replace("-", "").lower()
        found = [
            item.proposal_id for item in self.list(include_ended=True) if item.proposal_id.hex().startswith(wanted)
        ]
        if len(found) != 1:
            raise usage(
                f"{len(found) or 'no'} proposals begin with '{beginning}'",
                advice="see `concord decide list`, and name more of the id",
                reason="NOT_FOUND",
            )
        return found[0]

    def show(self, proposal_id: bytes) -> pb.GetProposalResponse:
        """Return exactly what would leave."""
        shown: pb.GetProposalResponse = self.call(
            "GetProposal", pb.GetProposalRequest(proposal_id=proposal_id), "show the proposal"
        )
        return shown

    def call(self, method: str, request: Message, doing: str) -> Any:
        """Call a method.

        Raises:
            Failure: Refused, or not answered.
        """
        with self._errors(doing):
            return getattr(self._stub, method)(request, timeout=TIMEOUT_S)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            told = told_error(error)
            if told is not None:
                raise told_failure(told, doing) from None
            raise Failure(
                f"could not {doing}",
                why=f"{self._target} does not answer as a gateway that knows this certificate",
                advice="`concord client check` with the same options says where it stops",
                reason=GatewayUnreachable.reason,
                code=ExitCode.UNREACHABLE,
            ) from None


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise usage(f"{option}: {path} cannot be read", why=error.strerror or "", reason="FILE_UNREADABLE") from None
    if len(data) > MAX_FILE_BYTES or b"-----BEGIN " not in data:
        raise usage(f"{option}: {path} is no PEM file", reason="FILE_UNUSABLE")
    return data
