"""How a client proves who it is, and the settings of its channel."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from gateway.client.errors import TimedOut
from gateway.errors import ConfigInvalid, GatewayError

MAX_FILE_BYTES: Final = 1 << 20
MAX_ANSWER_BYTES: Final = 64 << 20
"""An answer of WatchMessages may carry many bodies; more than this no gateway sends."""
SERVICE: Final = "/concord.v1.ExchangeService/"
Metadata = tuple[tuple[str, str], ...]

OPTIONS: Final = (
    # Ours are the only retries: they know which calls may be repeated.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # A line that died silently is noticed while a stream is open. The gateway takes a ping each ten seconds.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What proves a system to its gateway, and the only roots it believes the gateway under."""

    roots_pem: bytes
    chain_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "Credentials(...)"  # a key has no textual form

    @classmethod
    def from_files(cls, *, roots: Path | str, chain: Path | str, key: Path | str) -> "Credentials":
        """Read three PEM files.

        Raises:
            ConfigInvalid: One cannot be read or is not PEM.
        """
        return cls(
            roots_pem=read_pem(roots, "roots", b"CERTIFICATE"),
            chain_pem=read_pem(chain, "chain", b"CERTIFICATE"),
            key_pem=read_pem(key, "key", b"PRIVATE KEY"),
        )

    def for_channel(self) -> grpc.ChannelCredentials:
        """Return them as gRPC takes them."""
        return grpc.ssl_channel_credentials(self.roots_pem, self.key_pem, self.chain_pem)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An OAuth2 access token beside the certificate. The providers are asked at each try, so they should cache.

    Args:
        token: Returns the token; an AsyncClient also takes a coroutine function.
        proof: Makes the DPoP proof (RFC 9449) of one call from its path and token; without it the token is a bearer's.
    """

    token: Callable[[], str | Awaitable[str]]
    proof: Callable[[str, str], str] | None = None

    def metadata(self, path: str) -> Metadata:
        """Return the metadata of one call of a Client.

        Raises:
            ConfigInvalid: The provider returns no text.
        """
        return self._made(path, self.token())

    async def metadata_async(self, path: str) -> Metadata:
        """Return the metadata of one call of an AsyncClient.

        Raises:
            ConfigInvalid: The provider returns no text.
        """
        token = self.token()
        return self._made(path, await token if inspect.isawaitable(token) else token)

    def _made(self, path: str, token: object) -> Metadata:
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ConfigInvalid("the token provider must return a token of printable ASCII")
        if self.proof is None:
            return (("authorization", f"Bearer {token}"),)
        return (("authorization", f"DPoP {token}"), ("dpop", self.proof(path, token)))


def read_pem(path: Path | str, what: str, label: bytes) -> bytes:
    """Return a PEM file's bytes.

    Raises:
        ConfigInvalid: It cannot be read, is too large or holds nothing of its kind.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(f"{what}: '{path}' cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigInvalid(f"{what}: '{path}' is larger than {MAX_FILE_BYTES} bytes")
    if b"-----BEGIN " not in data or label + b"-----" not in data:
        raise ConfigInvalid(f"{what}: '{path}' holds no PEM block of kind {label.decode()}")
    return data


def is_by_age(error: GatewayError) -> bool:
    """Return whether a stream ended because of our own limit on its age."""
    return isinstance(error, TimedOut)
