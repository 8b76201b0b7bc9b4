"""The standard health and reflection services, as the guard runs servicers."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from grpc_health.v1 import health_pb2 as pb
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer as StandardReflection

from gateway.errors import MethodUnimplemented, NotFound
from gateway.rpc.callers import Caller


class Availability(Protocol):
    """What is needed of workers.store_watch.StoreWatch."""

    @property
    def available(self) -> bool: ...
    async def changed(self) -> None: ...


class AlwaysAvailable:
    """Nothing behind the services can fail."""

    available = True

    async def changed(self) -> None:
        """Never."""
        await asyncio.Event().wait()


class HealthServicer:
    """Says which services serve: none once the gateway stops, and those that need the store only while it takes writes.

    Args:
        services: All on the listener. The empty name is the gateway, which needs the store.
        storeless: Those that do without it.
        store: Whether it takes writes.
    """

    def __init__(
        self,
        services: Iterable[str],
        *,
        storeless: Iterable[str] = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"),
        store: Availability | None = None,
    ) -> None:
        self._services = frozenset(("", *services))
        self._storeless = frozenset(storeless)
        self._store: Availability = store if store is not None else AlwaysAvailable()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Say from now on that the gateway does not serve."""
        self._stopping.set()

    def _now(self, service: str) -> pb.HealthCheckResponse:
        serves = not self._stopping.is_set() and (self._store.available or service in self._storeless)
        words = pb.HealthCheckResponse
        return pb.HealthCheckResponse(status=words.SERVING if serves else words.NOT_SERVING)

    async def check(self, request: pb.HealthCheckRequest, _: Caller) -> pb.HealthCheckResponse:
        """Return the state of a service; the empty name is the whole gateway."""
        if request.service not in self._services:
            raise NotFound("no such service")
        return self._now(request.service)

    async def list(self, _: pb.HealthListRequest, __: Caller) -> pb.HealthListResponse:
        """Return the state of every service."""
        return pb.HealthListResponse(statuses={name: self._now(name) for name in sorted(self._services)})

    async def watch(self, request: pb.HealthCheckRequest, _: Caller) -> AsyncIterator[pb.HealthCheckResponse]:
        """Yield the state of a service now and when it changes."""
        if request.service not in self._services:
            # The standard wants an answer here, not an error: the service may appear later.
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
            return
        told = self._now(request.service)
        yield told
        while not self._stopping.is_set():
            await self._change()
            now = self._now(request.service)
            if now != told:
                told = now
                yield told

    async def _change(self) -> None:
        """Wait until the store or the gateway is not as it was."""
        waits = [asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(self._store.changed())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for item in waits:
                item.cancel()


class ClosedReflection:
    """Shows nobody anything: what a gateway in operation offers is in its documents."""

    async def server_reflection_info(
        self, requests: AsyncIterator[reflection_pb2.ServerReflectionRequest], _: Caller
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        """Refuse.

        Raises:
            MethodUnimplemented: Always.
        """
        async for _request in requests:
            raise MethodUnimplemented("reflection is off here; an operator can set listen.reflection")
        return
        yield  # makes this a stream


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
