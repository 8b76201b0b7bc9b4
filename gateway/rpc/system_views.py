"""The part of AdminService about who may call: systems, auditors, and callers that were turned away."""

from typing import Protocol

from concord.v1 import admin_service_pb2 as pb

from gateway.ids import AuthorityId
from gateway.installation.registry import Registered
from gateway.rpc.convert.view import time_to_proto
from gateway.rpc.rejected import RejectedCaller


class SystemBackend(Protocol):
    """Registers systems and auditors. Errors are those of gateway.errors."""

    def list(self) -> tuple[Registered, ...]: ...
    async def add(
        self,
        role: str,
        name: str,
        authorities: tuple[AuthorityId, ...],
        request: bytes,
        officer_roles: tuple[str, ...] = (),
    ) -> tuple[Registered, bytes]: ...
    async def renew(self, role: str, name: str, request: bytes) -> tuple[Registered, bytes]: ...
    async def remove(self, role: str, name: str) -> Registered: ...


def rejected_to_proto(caller: RejectedCaller) -> pb.RejectedCallerView:
    """Return a caller that was turned away as it is shown."""
    return pb.RejectedCallerView(
        fingerprint=caller.fingerprint,
        claimed_id=caller.claimed_id,
        peer=caller.address,
        listener=caller.listener.value,
        reason=caller.reason,
        detail=caller.detail,
        advice=caller.advice,
        count=caller.count,
        first_time=time_to_proto(caller.first_ms),
        last_time=time_to_proto(caller.time_ms),
    )


def system_to_proto(item: Registered) -> pb.SystemView:
    """Return a system or auditor as it is shown."""
    newest = item.certificates[0] if item.certificates else None
    return pb.SystemView(
        name=item.name,
        role=item.role,
        authorities=[str(authority) for authority in item.authorities],
        in_settings=item.in_settings,
        end_time=time_to_proto(newest.end_ms if newest is not None else None),
        fingerprint=newest.digest if newest is not None else "",
        officer_id=item.officer_id,
        officer_roles=item.officer_roles,
    )
