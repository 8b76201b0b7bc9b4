"""All telemetry of one gateway, made from settings: by default nothing is counted, drawn, listened on or sent."""

from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.resources import Resource

from gateway.clock import Clock
from gateway.exchange.observer import UNOBSERVED, Observer
from gateway.telemetry.calls import UNWATCHED, Calls
from gateway.telemetry.export import Headers, close_in_time, otlp_metrics, otlp_spans, quiet_sdk
from gateway.telemetry.meters import Meters
from gateway.telemetry.tracing import Tracing
from gateway.telemetry.watcher import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """What is wanted."""

    partner: str
    mode: str
    version: str
    prometheus: str | None = None
    """host:port to be fetched from."""
    otlp: str | None = None
    """http(s)://host:port to send to."""
    headers: Headers = ()
    roots: bytes | None = None
    """Authorities of a collector with https, in PEM; None: those that gRPC knows."""
    trace_ratio: float | None = None
    """None: no traces at all."""
    partner_traces_per_s: int = 0

    def __repr__(self) -> str:
        return f"TelemetrySettings({self.partner})"


class Telemetry:
    """Meters and tracing, each None when not wanted, and where they go."""

    def __init__(self, settings: TelemetrySettings, clock: Clock) -> None:
        self._settings = settings
        self._page: Any = None
        self.meters: Meters | None = None
        self.tracing: Tracing | None = None
        resource = Resource(
            {
                "service.name": "concord-gateway",
                "service.version": settings.version,
                "service.instance.id": settings.partner,
                "deployment.environment.name": settings.mode,
            }
        )
        readers: list[Any] = []
        if settings.prometheus is not None:
            from gateway.telemetry.scrape import ScrapePage  # noqa: PLC0415 - aiohttp takes long to load

            self._page = ScrapePage(settings.prometheus)
            readers.append(self._page.reader)
        if settings.otlp is not None:
            quiet_sdk()
            readers.append(otlp_metrics(settings.otlp, settings.headers, settings.roots))
        if readers:
            self.meters = Meters(readers, resource, clock)
        if settings.otlp is not None and settings.trace_ratio is not None:
            self.tracing = Tracing(
                [otlp_spans(settings.otlp, settings.headers, settings.roots)],
                resource,
                clock,
                ratio=settings.trace_ratio,
                partner_per_s=settings.partner_traces_per_s,
            )
        wanted = self.meters is not None or self.tracing is not None
        self.observer: Observer = Watcher(self.meters, self.tracing) if wanted else UNOBSERVED
        self.calls: Calls = Calls(self.meters, self.tracing) if wanted else UNWATCHED

    async def start(self) -> None:
        """Listen, where that is wanted.

        Raises:
            ConfigInvalid: The address cannot be bound.
        """
        if self._page is not None:
            await self._page.start()

    async def stop(self) -> None:
        """Send what is left, within seconds, and listen no more."""
        if self._page is not None:
            await self._page.stop()
        steps = []
        if self.tracing is not None:
            steps.append(self.tracing.provider.shutdown)
        if self.meters is not None:
            steps.append(self.meters.provider.shutdown)
        if steps:
            await close_in_time(*steps)

    def state(self) -> tuple[str, ...]:
        """Return in words where things go; empty when nothing does."""
        settings = self._settings
        state = []
        if self._page is not None and settings.prometheus is not None:
            host = settings.prometheus.rpartition(":")[0]
            state.append(f"metrics to be fetched at http://{host}:{self._page.port}/metrics")
        if settings.otlp is not None:
            state.append(f"metrics sent to {settings.otlp}")
        if self.tracing is not None:
            state.append(f"traces sent to {settings.otlp}, {settings.trace_ratio:.2%} of calls and those that ask")
        return tuple(state)
