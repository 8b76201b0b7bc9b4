"""What gateways show one another of their logs."""

from concord.v1 import federation_service_pb2 as pb

from gateway.ports import ShownLogs, ShownProof


def shown_logs_from_proto(shown: pb.ExchangeCheckpointsRequest | pb.ExchangeCheckpointsResponse) -> ShownLogs:
    """Return what the other side shows; whoever verifies it checks sizes and lengths."""
    begins = shown.beginning
    return ShownLogs(
        checkpoint=shown.checkpoint,
        seen=shown.seen,
        proven_from=shown.proven_from,
        consistency=tuple(shown.consistency),
        beginning=ShownProof(begins.leaf, begins.proof, begins.disclosure) if shown.HasField("beginning") else None,
    )


def shown_logs_to_request(shown: ShownLogs) -> pb.ExchangeCheckpointsRequest:
    """Return it as a caller shows it."""
    return pb.ExchangeCheckpointsRequest(
        checkpoint=shown.checkpoint,
        seen=shown.seen,
        proven_from=shown.proven_from,
        consistency=shown.consistency,
        beginning=_beginning(shown),
    )


def shown_logs_to_response(shown: ShownLogs) -> pb.ExchangeCheckpointsResponse:
    """Return it as an answer shows it."""
    return pb.ExchangeCheckpointsResponse(
        checkpoint=shown.checkpoint,
        seen=shown.seen,
        proven_from=shown.proven_from,
        consistency=shown.consistency,
        beginning=_beginning(shown),
    )


def _beginning(shown: ShownLogs) -> pb.LogBeginning | None:
    begins = shown.beginning
    if begins is None:
        return None
    return pb.LogBeginning(leaf=begins.leaf, proof=begins.proof, disclosure=begins.disclosure)
