"""What a failed call is told, logged and counted as. Each has an id of its own, in its status and in one log line."""

import os
import uuid

import structlog
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import Broken, GatewayError
from gateway.rpc.callers import Caller
from gateway.rpc.methods import Listener
from gateway.rpc.status import INTERNAL_REASON, code_of, internal_status, is_catalogued, to_status
from gateway.telemetry.calls import WatchedCall

log = structlog.get_logger(__name__)


def refuse(
    error: Exception, *, listener: Listener, method: str, caller: Caller | None, call: WatchedCall
) -> tuple[status_pb2.Status, str]:
    """Return the status of a failed call and its code's name; log and count it.

    Args:
        caller: None when it was turned away at the door.
    """
    request_id = str(uuid.UUID(bytes=os.urandom(16), version=4))
    who = caller.principal if caller is not None else ""
    if isinstance(error, GatewayError) and is_catalogued(error):
        code = code_of(error).name
        if isinstance(error, Broken):
            log.error("call.broken", method=method, caller=who, reason=error.reason, code=code, request_id=request_id)
        else:
            log.info("call.refused", method=method, caller=who, reason=error.reason, code=code, request_id=request_id)
        status = to_status(error, to_partner=listener is Listener.FEDERATION)
        reason = error.reason
        if caller is None:
            call.turned_away(reason)
    else:
        log.error(
            "call.failed",
            method=method,
            caller=who,
            incident_id=request_id,
            request_id=request_id,
            error_type=type(error).__name__,
            frames=_frames(error),
        )
        status, reason, code = internal_status(request_id), INTERNAL_REASON, INTERNAL_REASON
    call.refused(reason)
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return status, code


def _frames(error: BaseException) -> str:
    """Return where an error came from: files, lines and functions, never texts or values, which may be content."""
    trail = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        trail.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno}:{code.co_name}")
        step = step.tb_next
    return " > ".join(trail[-8:])
