"""What gateways show one another of their logs."""

from concord.v1 import federation_service_pb2 as pb

from gateway.ports import ShownLogs


def shown_logs_from_proto(shown: pb.ExchangeCheckpointsRequest | pb.ExchangeCheckpointsResponse) -> ShownLogs:
    """Return what the other side shows; whoever verifies it checks sizes and lengths."""
    return ShownLogs(
        checkpoint=shown.checkpoint,
        seen=shown.seen,
        proven_from=shown.proven_from,
        consistency=tuple(shown.consistency),
    )


def shown_logs_to_request(shown: ShownLogs) -> pb.ExchangeCheckpointsRequest:
    """Return it as a caller shows it."""
    return pb.ExchangeCheckpointsRequest(
        checkpoint=shown.checkpoint, seen=shown.seen, proven_from=shown.proven_from, consistency=shown.consistency
    )


def shown_logs_to_response(shown: ShownLogs) -> pb.ExchangeCheckpointsResponse:
    """Return it as an answer shows it."""
    return pb.ExchangeCheckpointsResponse(
        checkpoint=shown.checkpoint, seen=shown.seen, proven_from=shown.proven_from, consistency=shown.consistency
    )
