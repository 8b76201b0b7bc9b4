"""The page from which Prometheus fetches metrics. Imported only when one is wanted."""

import asyncio
from typing import Final

from aiohttp import web
from opentelemetry.sdk.metrics.export import MetricReader
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.errors import ConfigInvalid
from gateway.telemetry.bulk import PageReader

PATH: Final = "/metrics"


class ScrapePage:
    """The page that Prometheus fetches: GET /metrics and nothing else."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._registry = CollectorRegistry(auto_describe=False)
        # A provider with this reader must never be flushed: it would repeat series (reference notes on the stack, 9).
        self.reader: MetricReader = PageReader(scope_info_enabled=False, registry=self._registry)
        self._runner: web.AppRunner | None = None
        self._one = asyncio.Lock()
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigInvalid: The address cannot be bound.
        """
        application = web.Application(client_max_size=1024)
        application.router.add_get(PATH, self._page)
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=30, shutdown_timeout=1)
        await runner.setup()
        host, _, port = self._address.rpartition(":")
        try:
            site = web.TCPSite(runner, host.strip("[]"), int(port), backlog=16)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigInvalid(f"telemetry.prometheus: '{self._address}' cannot be bound: {error.strerror}") from None
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, _: web.Request) -> web.Response:
        # One at a time, whoever asks how often: each costs some milliseconds, away from the loop.
        async with self._one:
            body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
