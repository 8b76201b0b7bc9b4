"""The standard health and reflection services, as the guard runs servicers."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1 import health_pb2 as pb
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer as StandardReflection

from gateway.errors import NotFound
from gateway.rpc.callers import Caller


class HealthServicer:
    """Says whether the gateway serves: yes from the start on, no once it is stopping."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Say from now on that the gateway does not serve."""
        self._stopping.set()

    def _now(self) -> pb.HealthCheckResponse:
        serving = pb.HealthCheckResponse.NOT_SERVING if self._stopping.is_set() else pb.HealthCheckResponse.SERVING
        return pb.HealthCheckResponse(status=serving)

    async def check(self, request: pb.HealthCheckRequest, _: Caller) -> pb.HealthCheckResponse:
        """Return the state of a service; the empty name is the whole gateway."""
        if request.service not in self._services:
            raise NotFound("no such service")
        return self._now()

    async def list(self, _: pb.HealthListRequest, __: Caller) -> pb.HealthListResponse:
        """Return the state of every service."""
        return pb.HealthListResponse(statuses=dict.fromkeys(sorted(self._services), self._now()))

    async def watch(self, request: pb.HealthCheckRequest, _: Caller) -> AsyncIterator[pb.HealthCheckResponse]:
        """Yield the state of a service now and when it changes."""
        if request.service not in self._services:
            # The standard wants an answer here, not an error: the service may appear later.
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
            return
        yield self._now()
        if not self._stopping.is_set():
            await self._stopping.wait()
            yield self._now()


class ReflectionServicer:
    """Shows callers the descriptors of the services they can reach."""

    def __init__(self, services: Iterable[str]) -> None:
        self._standard = StandardReflection(services)

    def server_reflection_info(
        self, requests: AsyncIterator[reflection_pb2.ServerReflectionRequest], _: Caller
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        """Answer each question about a descriptor."""
        answers: AsyncIterator[reflection_pb2.ServerReflectionResponse] = self._standard.ServerReflectionInfo(
            requests, None
        )
        return answers
