"""What a ministry's programmers import to talk to their gateway. Needs grpcio and protobuf, nothing of a server.

`Client` blocks and `AsyncClient` awaits; both offer the same. Messages are those of `concord.v1`, errors those of
`gateway.errors`; `preflight` says why a connection does not come about.
"""

from gateway.client.aio import AsyncClient
from gateway.client.blocking import Client
from gateway.client.connection import AccessToken, Credentials
from gateway.client.core import RetryPolicy
from gateway.client.errors import (
    FieldViolation,
    InternalFault,
    NotUnderstood,
    TimedOut,
    Told,
    Unreachable,
    explain,
    told,
)
from gateway.client.preflight import preflight
from gateway.client.report import Fault, Report, Step
from gateway.client.values import Accepted, Submitted, Watched, alert_draft, new_request_id

__all__ = [
    "Accepted",
    "AccessToken",
    "AsyncClient",
    "Client",
    "Credentials",
    "Fault",
    "FieldViolation",
    "InternalFault",
    "NotUnderstood",
    "Report",
    "RetryPolicy",
    "Step",
    "Submitted",
    "TimedOut",
    "Told",
    "Unreachable",
    "Watched",
    "alert_draft",
    "explain",
    "new_request_id",
    "preflight",
    "told",
]
