"""Serves alerts to national systems over HTTP: a feed, and each alert as CAP 1.2.

Read only, and only what `shown` lets out; that an alert was handed on is recorded once. A reader cannot cost more than
one look at the store at a time, nor hold a connection for ever.
"""

import asyncio
import email.utils
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from adapters.connectors.cap.atom import CAP_TYPE, feed
from adapters.connectors.cap.options import ServeOptions
from adapters.connectors.cap.render import cap_document
from adapters.connectors.cap.shown import Shelf, may_show, shown_alert
from gateway.errors import Busy, FieldInvalid, NotFound
from gateway.ids import MessageId, PartnerId
from gateway.ports import Desk

MAX_CONCURRENT: Final = 32
"""Requests worked on at a time; more are told to come back."""
MAX_CALLERS: Final = 10_000
"""Addresses whose rate is remembered; the longest quiet is forgotten first."""
MAX_PAGE: Final = 10_000
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # What partners wrote must not run in anybody's browser.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Server": "concord",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    time_ms: int


class Rates:
    """So many requests a second from each address, averaged over a burst."""

    def __init__(self, per_s: float, burst: int, now_ms: Callable[[], int]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now_ms = now_ms
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take one request; return 0, or in how many seconds there is room again."""
        now_ms = self._now_ms()
        bucket = self._buckets.pop(caller, None) or _Bucket(float(self._burst), now_ms)
        self._buckets[caller] = bucket
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        passed_ms = max(0, now_ms - bucket.time_ms)
        bucket.tokens = min(float(self._burst), bucket.tokens + passed_ms * self._per_s / 1000)
        bucket.time_ms = now_ms
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_s
        bucket.tokens -= 1
        return 0.0


class Server:
    """Serves one gateway's alerts."""

    def __init__(self, desk: Desk, options: ServeOptions) -> None:
        self._desk = desk
        self._options = options
        self._shelf = Shelf(desk, options, options.keep)
        self._rates = Rates(options.per_s, options.burst, desk.now_ms)
        self._working = 0
        self._changes: dict[int, tuple[str, int]] = {}
        """Per page: its entity tag and the second since which it has been so."""

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: The address cannot be listened on, or a certificate cannot be read.
        """
        application = web.Application(client_max_size=1024, middlewares=[self._guard])
        application.router.add_get("/feed.atom", self._feed)
        application.router.add_get("/alerts/{sender}/{name}", self._alert)
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=30, shutdown_timeout=2)
        await runner.setup()
        try:
            host, _, port = self._options.listen.rpartition(":")
            await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=self._tls(), backlog=128).start()
            self._desk.note("serve", "")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._options.certificate, self._options.key)
        return context

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Bound the rate and the load, and put the same headers on every answer."""
        wait_s = self._rates.take(request.remote or "")
        if wait_s:
            return _plain(429, "too many requests", {"Retry-After": str(int(wait_s) + 1)})
        if self._working >= MAX_CONCURRENT:
            return _plain(503, "too busy", {"Retry-After": "1"})
        self._working += 1
        try:
            response = await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _plain(error.status, error.reason.lower(), allow)
        except (NotFound, FieldInvalid):
            return _plain(404, "not found")
        except Busy:
            return _plain(503, "not now", {"Retry-After": "5"})
        finally:
            self._working -= 1
        response.headers.update(HEADERS)
        return response

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        page = _page(request.query.get("page", "1"))
        items = await self._shelf.current()
        size = self._options.page_size
        pages = max(1, -(-len(items) // size))
        if page > pages:
            raise web.HTTPNotFound
        part = items[(page - 1) * size : page * size]
        data = feed(part, base=self._options.base, title=self._options.title, page=page, pages=pages)
        tag = _tag(data)
        now_s = self._desk.now_ms() // 1000
        before = self._changes.get(page)
        since_s = before[1] if before is not None and before[0] == tag else now_s
        self._changes = {number: change for number, change in self._changes.items() if number <= pages}
        self._changes[page] = (tag, since_s)
        # HTTP counts seconds: a second in which the feed changed may see it change again.
        modified_s = since_s if since_s < now_s else None
        return _answer(request, data, "application/atom+xml", tag, modified_s)

    async def _alert(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        sender = PartnerId.parse(request.match_info["sender"])
        message = await self._desk.message(sender, MessageId.parse(name.removesuffix(".cap")))
        alert = shown_alert(self._options, message.body) if may_show(self._options, message.row) else None
        if alert is None or not name.endswith(".cap"):
            # Whether there is such a message is not for everybody to learn.
            raise web.HTTPNotFound
        data = await asyncio.to_thread(cap_document, alert, message.row.mode)
        if request.method == "GET":
            await self._desk.handed_on(message.row)
        return _answer(request, data, CAP_TYPE, _tag(data), message.row.create_ms // 1000)


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PAGE):
        raise web.HTTPNotFound
    return int(text)


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _answer(request: web.Request, data: bytes, kind: str, tag: str, modified_s: int | None) -> web.Response:
    headers = {"ETag": tag}
    if modified_s is not None:
        headers["Last-Modified"] = email.utils.formatdate(modified_s, usegmt=True)
    if _unchanged(request, tag, modified_s):
        return web.Response(status=304, headers=headers)
    charset = "; charset=utf-8" if kind == "application/atom+xml" else ""
    return web.Response(body=data, headers={**headers, "Content-Type": kind + charset})


def _unchanged(request: web.Request, tag: str, modified_s: int | None) -> bool:
    """Return whether the reader has it (RFC 9110 section 13.2.2: the date counts only without a tag)."""
    tags = request.headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or tag in {item.strip().removeprefix("W/") for item in tags.split(",")}
    since = request.if_modified_since
    return since is not None and modified_s is not None and modified_s <= since.timestamp()


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**HEADERS, **(headers or {})})
