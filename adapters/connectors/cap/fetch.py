"""Fetches feeds and alerts over HTTP from servers that may be slow, broken or hostile.

No answer takes more bytes or time than stated, packed or unpacked; redirects and links lead only to hosts that the
settings name; nothing of the environment (proxies, netrc, cookies) has a say.
"""

import asyncio
import email.utils
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from adapters.connectors.cap.options import FeedOptions

MAX_REDIRECTS: Final = 3
MAX_RETRY_AFTER_S: Final = 6 * 3600
"""A server that asks for longer is asked again all the same: warnings may be waiting."""
CHUNK: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class FetchFailed(Exception):
    """No usable answer. The text is for operators; it quotes no content."""

    def __init__(self, problem: str, retry_after_s: float | None = None, *, final: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.final = final
        """Asking again for the same address will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer."""

    data: bytes | None
    """None: not modified."""
    validators: Mapping[str, str]
    """Request headers that make the next request conditional."""


class Fetcher:
    """Fetches for one feed."""

    def __init__(self, options: FeedOptions, now_ms: Callable[[], int]) -> None:
        self._options = options
        self._now_ms = now_ms
        self._hosts = frozenset({urlsplit(options.url).hostname or "", *(host.lower() for host in options.hosts)})
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # Off: decompression is bounded here, and proxies and passwords of the environment are not ours.
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=8, limit_per_host=4),
            headers={"User-Agent": "concord-gateway", "Accept-Encoding": "gzip"},
            max_line_size=8190,
            max_field_size=8190,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def allowed(self, url: str) -> bool:
        """Return whether an address may be fetched."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        schemes = {"https", "http"} if self._options.plain_http else {"https"}
        if parts.scheme not in schemes or "@" in parts.netloc or parts.hostname not in self._hosts:
            return False
        # Another port of an allowed host is another program, perhaps one that only this machine can reach.
        own = urlsplit(self._options.url)
        return port is None or (parts.hostname == own.hostname and port == own.port)

    async def get(self, url: str, max_bytes: int, validators: Mapping[str, str] | None = None) -> Fetched:
        """Return what an address answers.

        Raises:
            FetchFailed: No usable answer.
        """
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._follow(url, max_bytes, validators or {})
        except TimeoutError:
            raise FetchFailed(f"no whole answer within {self._options.timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise FetchFailed(f"no answer: {type(error).__name__}") from None
        except (OSError, ValueError) as error:
            raise FetchFailed(f"no usable answer: {type(error).__name__}") from None

    async def _follow(self, url: str, max_bytes: int, validators: Mapping[str, str]) -> Fetched:
        assert self._session is not None  # noqa: S101
        for _ in range(MAX_REDIRECTS + 1):
            if not self.allowed(url):
                raise FetchFailed("the address is not on an allowed host", final=True)
            async with self._session.get(url, headers=validators, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status == 304 and validators:
                    return Fetched(data=None, validators=validators)
                if response.status != 200:
                    retry = self._retry_after(response.headers.get("Retry-After", ""))
                    final = response.status in {400, 404, 405, 406, 410, 414, 451}
                    raise FetchFailed(f"the server answered {response.status}", retry, final=final)
                return Fetched(data=await _body(response, max_bytes), validators=_validators(response.headers))
        raise FetchFailed(f"more than {MAX_REDIRECTS} redirects", final=True)

    def _retry_after(self, text: str) -> float | None:
        if text.isascii() and text.isdigit():
            return float(min(int(text[:9]), MAX_RETRY_AFTER_S))
        try:
            at = email.utils.parsedate_to_datetime(text).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(at - self._now_ms() / 1000, 0.0), MAX_RETRY_AFTER_S)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip"}:
        raise FetchFailed(f"the answer is packed as '{encoding[:40]}'", final=True)
    unpack = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    whole = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        try:
            # One byte more than allowed tells a bomb before it has gone off.
            whole += unpack.decompress(chunk, max_bytes + 1 - len(whole)) if unpack else chunk
        except zlib.error:
            raise FetchFailed("the answer is packed badly") from None
        if len(whole) > max_bytes:
            raise FetchFailed(f"the answer has more than {max_bytes} bytes", final=True)
    if unpack is not None and not unpack.eof:
        raise FetchFailed("the answer ended early")
    return bytes(whole)


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    found = {"If-None-Match": headers.get("ETag", ""), "If-Modified-Since": headers.get("Last-Modified", "")}
    return {name: value for name, value in found.items() if value and len(value) <= 1024}
