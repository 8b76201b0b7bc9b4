"""OAuth2 access tokens of national systems: RFC 9068 tokens, bound by RFC 8705 or RFC 9449, judged on every call."""

from gateway.rpc.tokens.gate import TokenAuthenticator
from gateway.rpc.tokens.keys import KeySource

__all__ = ["KeySource", "TokenAuthenticator"]
