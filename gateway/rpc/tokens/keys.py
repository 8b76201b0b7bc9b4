"""The keys of an issuer: fetched over HTTPS or read from a file, kept for a bounded time, and asked for seldom.

An unknown key id makes it look again, but at most once a minute, so that made-up ids cost the issuer nothing. While
the issuer is away its last keys count for as long as configured; then every token of it is refused.
"""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from gateway.clock import Clock
from gateway.errors import ConfigInvalid, TokenRejected
from gateway.installation.private_files import read_bounded
from gateway.rpc.tokens.compact import MAX_KID, PublicKey, import_public

log = structlog.get_logger(__name__)

MAX_KEYS_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
RETRY_MS: Final = 60_000
"""Between two looks for keys."""
REFRESH_MS: Final = 600_000
"""Keys are looked at again after this: a key that the issuer has withdrawn must go."""
FETCH_S: Final = 5.0


def parse_keys(data: bytes) -> dict[str, PublicKey]:
    """Return the usable signature keys of a JWK set by key id; others in it are passed over.

    Raises:
        TokenRejected: It is no JWK set, or larger than allowed.
    """
    if len(data) > MAX_KEYS_BYTES:
        raise TokenRejected("the issuer's keys are larger than allowed")
    try:
        listed = json.loads(data)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TokenRejected("the issuer's keys cannot be read") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise TokenRejected("the issuer's keys cannot be read")
    found: dict[str, PublicKey] = {}
    for item in listed:
        kid = item.get("kid") if isinstance(item, dict) else None
        if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID or item.get("use", "sig") != "sig":
            continue
        try:
            key = import_public(item, "issuer")
        except TokenRejected:
            continue
        if kid in found:
            # Which of two keys an id means must not depend on their order.
            raise TokenRejected("the issuer lists one key id twice")
        found[kid] = key
    return found


class KeySource:
    """The keys of one issuer.

    Args:
        url: Where they are; or
        path: the file that they are in.
        ca_file: Roots for the URL instead of the system's.
        max_stale_s: How long the last keys count when no new ones can be had.
    """

    def __init__(
        self, *, url: str | None, path: Path | None, ca_file: Path | None, max_stale_s: int, clock: Clock
    ) -> None:
        self._url = url
        self._path = path
        self._ca_file = ca_file
        self._max_stale_ms = max_stale_s * 1000
        self._clock = clock
        self._keys: dict[str, PublicKey] = {}
        self._read_ms: int | None = None
        self._tried_ms: int | None = None
        self._looking: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> PublicKey:
        """Return a key.

        Raises:
            TokenRejected: There is none of this id, or the keys known are too old.
        """
        fresh = self._age_ms() < REFRESH_MS
        if (not fresh or kid not in self._keys) and self._may_look():
            self._tried_ms = self._clock.now_ms()
            self._looking = asyncio.create_task(self._look())
        # Who finds its key in keys that still count does not wait for newer ones.
        if self._looking is not None and (kid not in self._keys or self._age_ms() >= self._max_stale_ms):
            await asyncio.shield(self._looking)
        if self._age_ms() >= self._max_stale_ms:
            raise TokenRejected("the issuer's keys cannot be had, and those known are too old")
        try:
            return self._keys[kid]
        except KeyError:
            raise TokenRejected("the token is signed with a key that its issuer does not list") from None

    def _age_ms(self) -> int:
        # A clock set back must not make old keys young for ever.
        return 2**62 if self._read_ms is None else abs(self._clock.now_ms() - self._read_ms)

    def _may_look(self) -> bool:
        if self._looking is not None and not self._looking.done():
            return False
        return self._tried_ms is None or abs(self._clock.now_ms() - self._tried_ms) >= RETRY_MS

    async def _look(self) -> None:
        try:
            data = await self._read()
            self._keys = parse_keys(data)
            self._read_ms = self._clock.now_ms()
        except (TokenRejected, ConfigInvalid, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("issuer.keys_failed", error_type=type(error).__name__, endpoint=self._url or str(self._path))

    async def _read(self) -> bytes:
        if self._path is not None:
            return await asyncio.to_thread(read_bounded, self._path, MAX_KEYS_BYTES)
        if self._url is None:
            raise ConfigInvalid("an issuer has neither jwks_url nor jwks_file")
        trust = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        timeout = aiohttp.ClientTimeout(total=FETCH_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=trust)) as session,
            # A redirect would let whoever can write one page of the issuer's choose our trust.
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise TokenRejected("the issuer does not give its keys")
            data = bytearray()
            async for part in response.content.iter_chunked(16_384):
                data += part
                if len(data) > MAX_KEYS_BYTES:
                    raise TokenRejected("the issuer's keys are larger than allowed")
            return bytes(data)
