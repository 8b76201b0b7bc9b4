"""What a call of any method meets, whoever calls it."""

import grpc
from grpc_status import rpc_status

from gateway.rpc.methods import methods_of, services
from gateway.rpc.status import from_status

STREAMS = {
    method.full_name: (method.client_streaming, method.server_streaming)
    for service in services()
    for method in methods_of(service)
}

RESET = (grpc.StatusCode.INTERNAL, "")
"""What gRPC makes of a stream that the server ended while the client was still writing: the failed write overtakes the
status. It says nothing of what the server decided, so such a call is made again; a fault of ours carries a reason."""
TRIES = 5


async def met(raw: grpc.aio.Channel, name: str) -> tuple[grpc.StatusCode, str]:
    """The code, and the reason in our words where there is one."""
    for _ in range(TRIES):
        code, reason = await _met_once(raw, name)
        if (code, reason) != RESET:
            break
    return code, reason


async def _met_once(raw: grpc.aio.Channel, name: str) -> tuple[grpc.StatusCode, str]:
    path = "/{}/{}".format(*name.rsplit(".", 1))
    reads, writes = STREAMS[name]
    # An empty request: no method lacks one, and none that streams is left waiting.
    data = b""
    try:
        if reads:
            stream = raw.stream_stream(path, request_serializer=None)(iter([data]), timeout=20)
            await stream.read()
            stream.cancel()
        elif writes:
            stream = raw.unary_stream(path)(data, timeout=20)
            await stream.read()
            stream.cancel()
        else:
            await raw.unary_unary(path)(data, timeout=20)
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)
        told = from_status(status) if status is not None else None
        return error.code(), told.reason if told is not None else ""
    return grpc.StatusCode.OK, ""
