"""The outermost wrapper of every method: nobody gets past it, and nothing but catalogued errors gets out.

Handlers are registered with raw bytes, because gRPC would answer bytes that do not parse, and any error of a handler,
with the text of the exception. Steps of a call: who calls, whether that kind of caller may, whether the method is
offered, size, deadline, parse, declared rules, act. Servicers raise GatewayError; only this file ends calls.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from gateway.errors import (
    CallerUnknown,
    DeadlineTooShort,
    FieldInvalid,
    FrameMalformed,
    GatewayError,
    MessageMalformed,
    MessageTooLarge,
    MethodNotAllowed,
    MethodUnimplemented,
    PartnerFrozen,
    PartnerUnknown,
    QuotaExceeded,
    TokenRejected,
)
from gateway.ids import PartnerId
from gateway.rpc.callers import Authenticator, Caller, Presented, presented_by, with_token
from gateway.rpc.convert.field import check_rules
from gateway.rpc.methods import Listener, Method, methods_of, row_of
from gateway.rpc.refusals import refuse
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.tokens import TokenAuthenticator
from gateway.telemetry.calls import UNWATCHED, Calls, WatchedCall

MIN_REMAINING_S: Final = 0.1
"""Less time than this does not suffice for a commit on a busy disk: better refused than done and not told."""
END_GRACE_S: Final = 5.0
"""How long a stream that reached its age may still answer what it has read."""
_ONE_TOO_MANY_MS: Final = 1000
"""When the caller of a stream that had to make room for its newer ones may come again."""
_OK: Final = "OK"
_CANCELLED: Final = "CANCELLED"
"""What a call ended with when nobody says otherwise: its caller went away."""
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")

Context = Any
"""grpc.aio.ServicerContext, whose type parameters mean nothing for raw bytes."""


def handler_name(method: str) -> str:
    """Return the name of the servicer's function for a method: SubmitMessage is submit_message."""
    return _WORD.sub("_", method).lower()


class _OpenStream:
    """A stream that is running, as others may end it."""

    __slots__ = ("caller", "ending", "error", "method", "presented", "reading", "reads", "task")

    def __init__(
        self, method: str, caller: Caller, presented: Presented, task: "asyncio.Task[Any] | None", *, reads: bool
    ) -> None:
        if task is None:
            raise RuntimeError("a stream is handled in a task")
        self.method = method
        self.caller = caller
        self.presented = presented
        self.task = task
        self.reads = reads
        self.reading: asyncio.Task[Any] | None = None
        self.ending = False
        self.error: GatewayError | None = None

    def end(self) -> None:
        """End cleanly: read nothing more and answer what was read; where nothing is read, end now."""
        self.ending = True
        if not self.reads:
            self.task.cancel()
        elif self.reading is not None:
            self.reading.cancel()

    def end_now(self) -> None:
        """End cleanly whatever is still unanswered."""
        self.ending = True
        self.task.cancel()

    def stop(self, error: GatewayError) -> None:
        """End with an error."""
        self.error = error
        self.task.cancel()


@dataclass(frozen=True, slots=True)
class _Route:
    """One method and what runs it."""

    name: str
    row: Method
    request_type: type[Message]
    function: Any
    """The servicer's function; never None once a caller has been admitted."""


class Guard:
    """Wraps the services of one listener."""

    def __init__(
        self,
        listener: Listener,
        authenticator: Authenticator,
        rejected: RejectedCallers,
        *,
        max_age_s: float | None = None,
        tokens: TokenAuthenticator | None = None,
        calls: Calls = UNWATCHED,
    ) -> None:
        self._tokens = tokens
        self._calls = calls
        self._listener = listener
        self._authenticator = authenticator
        self._rejected = rejected
        self._max_age_s = max_age_s
        self._streams: dict[_OpenStream, None] = {}
        """Those open, the oldest first."""

    # --- set-up ----------------------------------------------------------------------------------------------

    def handlers(self, service: ServiceDescriptor, servicer: object | None) -> grpc.GenericRpcHandler:
        """Return the wrapped methods of a service; without a servicer each must be one that is not offered.

        Raises:
            LookupError: A method has no row, is of another listener, or is not in the servicer.
        """
        handlers = {method.name: self._handler(method, servicer) for method in methods_of(service)}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor, servicer: object | None) -> Any:
        row = row_of(method)
        if self._listener not in row.listeners:
            raise LookupError(f"{method.full_name} is not for the {self._listener.value} listener")
        function = getattr(servicer, handler_name(method.name), None)
        if function is None and row.offered:
            raise LookupError(f"nothing implements {method.full_name}")
        route = _Route(method.full_name, row, GetMessageClass(method.input_type), function)
        if method.client_streaming and method.server_streaming:

            async def stream_stream(_: object, context: Context) -> None:
                await self._run_stream(route, context, None)

            return grpc.stream_stream_rpc_method_handler(stream_stream)
        if method.server_streaming:

            async def unary_stream(data: bytes, context: Context) -> None:
                await self._run_stream(route, context, data)

            return grpc.unary_stream_rpc_method_handler(unary_stream)
        if method.client_streaming:
            raise LookupError(f"{route.name}: streams of requests with one answer are not offered")

        async def unary_unary(data: bytes, context: Context) -> bytes:
            return await self._run_unary(route, context, data)

        return grpc.unary_unary_rpc_method_handler(unary_unary)

    # --- calls -----------------------------------------------------------------------------------------------

    async def _run_unary(self, route: _Route, context: Context, data: bytes) -> bytes:
        call, caller, code = self._calls.begin(self._listener.value, route.name), None, _CANCELLED
        try:
            caller, _ = await self._admit(route, context)
            self._may_trace(call, context)
            _check_deadline(context)
            response: Message = await route.function(_parse(route, data), caller)
            answer = response.SerializeToString()
            code = _OK
            return answer
        except Exception as error:  # noqa: BLE001 - whatever it is, its text must not reach the caller
            status, code = self._refuse(route, error, caller, call)
        finally:
            call.ended(code)
        await context.abort_with_status(rpc_status.to_status(status))
        raise RuntimeError("abort returned")

    async def _run_stream(self, route: _Route, context: Context, data: bytes | None) -> None:
        call, caller, code = self._calls.begin(self._listener.value, route.name), None, _CANCELLED
        stream: _OpenStream | None = None
        timers: list[asyncio.TimerHandle] = []
        try:
            caller, presented = await self._admit(route, context)
            self._may_trace(call, context)
            stream = _OpenStream(route.name, caller, presented, asyncio.current_task(), reads=data is None)
            self._make_room(route, caller)
            self._streams[stream] = None
            timers = self._limit_age(route, stream)
            argument: Any = self._requests(route, context, stream) if data is None else _parse(route, data)
            async with contextlib.aclosing(route.function(argument, caller)) as responses:
                async for response in responses:
                    await context.write(response.SerializeToString())
            status, code = None, _OK
        except asyncio.CancelledError:
            if stream is None or (stream.error is None and not stream.ending):
                raise
            # We ended it, not the caller: live on long enough to say so.
            stream.task.uncancel()
            status, code = None, _OK
            if stream.error is not None:
                status, code = self._refuse(route, stream.error, caller, call)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text must not reach the caller
            if context.cancelled() or context.done():
                # The caller is gone; writing to it is no incident.
                return
            status, code = self._refuse(route, error, caller, call)
        finally:
            call.ended(code)
            for timer in timers:
                timer.cancel()
            if stream is not None:
                self._streams.pop(stream, None)
        if status is not None:
            await context.abort_with_status(rpc_status.to_status(status))

    def _make_room(self, route: _Route, caller: Caller) -> None:
        """End the caller's oldest streams beyond what its row allows: each may hold frames in memory."""
        theirs = [
            item
            for item in self._streams
            if item.method == route.name and item.caller.principal == caller.principal and item.error is None
        ]
        for oldest in theirs[: max(0, len(theirs) + 1 - route.row.max_streams)]:
            oldest.stop(QuotaExceeded(_ONE_TOO_MANY_MS))

    def _limit_age(self, route: _Route, stream: _OpenStream) -> list[asyncio.TimerHandle]:
        age_s = self._max_age_s or route.row.max_age_s
        if age_s is None:
            return []
        if stream.caller.rest_s is not None:
            # A token that has ended must not go on reading through a stream that it opened.
            age_s = min(age_s, stream.caller.rest_s)
        loop = asyncio.get_running_loop()
        return [loop.call_later(age_s, stream.end), loop.call_later(age_s + END_GRACE_S, stream.end_now)]

    async def _requests(self, route: _Route, context: Context, stream: _OpenStream) -> AsyncIterator[Message]:
        while not stream.ending:
            reading = stream.reading = asyncio.current_task()
            try:
                data = await context.read()
            except asyncio.CancelledError:
                if reading is None or stream.error is not None or not stream.ending:
                    raise
                reading.uncancel()
                return
            finally:
                stream.reading = None
            if data is grpc.aio.EOF:
                return
            yield _parse(route, data)

    # --- steps -----------------------------------------------------------------------------------------------

    async def _admit(self, route: _Route, context: Context) -> tuple[Caller, Presented]:
        presented = presented_by(context)
        if self._listener is Listener.EXCHANGE:
            presented = with_token(presented, context)
        try:
            if self._tokens is None:
                caller = self._authenticator.identify(presented)
            else:
                caller = await self._tokens.admit(presented, route.name)
        except (CallerUnknown, PartnerUnknown, PartnerFrozen, TokenRejected) as error:
            self._rejected.add(presented, error, self._listener)
            raise
        problem = None
        if caller.kind not in route.row.callers:
            problem = f"a {caller.kind.value} may not call {route.name}"
        elif caller.scopes is not None and route.row.scope is not None and route.row.scope not in caller.scopes:
            problem = f"{route.name} needs a token with the scope {route.row.scope.value}"
        if problem is not None:
            forbidden = MethodNotAllowed(problem)
            self._rejected.add(presented, forbidden, self._listener)
            raise forbidden
        if not route.row.offered:
            raise MethodUnimplemented(f"{route.name} is not offered by this version")
        return caller, presented

    def _may_trace(self, call: WatchedCall, context: Context) -> None:
        """Let those of our own side begin a trace; a partner's wish counts nothing."""
        if self._listener is not Listener.FEDERATION:
            call.admitted(context.invocation_metadata)

    def _refuse(
        self, route: _Route, error: Exception, caller: Caller | None, call: WatchedCall
    ) -> tuple[status_pb2.Status, str]:
        return refuse(error, listener=self._listener, method=route.name, caller=caller, call=call)

    # --- open streams ----------------------------------------------------------------------------------------

    def recheck(self, partner: PartnerId) -> None:
        """Judge a partner's open streams anew, after its card or its freeze changed."""
        for stream in list(self._streams):
            if stream.caller.partner != partner:
                continue
            try:
                self._authenticator.identify(stream.presented)
            except GatewayError as error:
                self._rejected.add(stream.presented, error, self._listener)
                stream.stop(error)

    def recheck_all(self) -> None:
        """Judge all open streams anew, after registrations of systems changed."""
        for stream in list(self._streams):
            try:
                if self._tokens is None:
                    self._authenticator.identify(stream.presented)
                else:
                    self._tokens.still_holds(stream.caller, stream.presented)
            except GatewayError as error:
                self._rejected.add(stream.presented, error, self._listener)
                stream.stop(error)

    def end_streams(self) -> None:
        """End all streams cleanly, before a stop: what was read is still answered."""
        for stream in list(self._streams):
            stream.end()

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)


def _check_deadline(context: Context) -> None:
    remaining_s = context.time_remaining()
    if remaining_s is None:
        raise FieldInvalid("deadline", "must be set: a call without one may hang forever")
    if remaining_s < MIN_REMAINING_S:
        raise DeadlineTooShort(f"only {max(remaining_s, 0) * 1000:.0f} ms are left")


def _parse(route: _Route, data: bytes) -> Message:
    row = route.row
    if len(data) > row.max_bytes:
        raise MessageTooLarge("the request", len(data), row.max_bytes)
    try:
        request = route.request_type.FromString(data)
        if row.checked:
            check_rules(request)
    except DecodeError:
        if row.is_link:
            raise FrameMalformed("the frame could not be read") from None
        raise MessageMalformed("the request could not be read") from None
    except FieldInvalid as error:
        if row.is_link:
            raise FrameMalformed(f"the frame breaks a rule: {error.text}") from None
        raise
    return request
