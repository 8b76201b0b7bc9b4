"""The national systems of the demo: clients of a gateway's own listener, known by their certificate."""

from typing import TYPE_CHECKING, Final

import grpc
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from gateway.cli.demo_gateways import incomplete

if TYPE_CHECKING:
    from gateway.cli.demo_gateways import Nation

TIMEOUT_S: Final = 10.0


def acknowledge(nation: "Nation", sender: str, message_id: bytes) -> None:
    """Take a received message over as the nation's first national system, over mTLS.

    Raises:
        Failure: The gateway does not let it.
    """
    certificates = nation.home / "certs"
    key_file = min(certificates.glob("system-*.key.pem"))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(certificates / "authority.pem").read_bytes(),
        private_key=key_file.read_bytes(),
        certificate_chain=key_file.with_name(key_file.name.replace(".key.pem", ".pem")).read_bytes(),
    )
    with grpc.secure_channel(nation.exchange, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
        request = pb.AcknowledgeMessageRequest(message_id=message_id, sender=sender)
        try:
            ExchangeServiceStub(channel).AcknowledgeMessage(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise incomplete(f"the system of '{nation.code}' could not acknowledge: {error.details()}") from None
