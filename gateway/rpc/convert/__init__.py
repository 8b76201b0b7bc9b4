"""Protocol Buffers to the gateway's own values and back. Every field is checked on the way in."""

from gateway.rpc.convert.codec import WireCodec
from gateway.rpc.convert.message import draft_from_proto

__all__ = ["WireCodec", "draft_from_proto"]
