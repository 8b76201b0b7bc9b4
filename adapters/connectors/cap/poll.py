"""Polls a feed and hands in each alert in it once.

What was handed in is remembered here only to save fetching; that nothing goes out twice, also after a restart, is
certain because the desk knows a repeat by its content.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from adapters.connectors.cap.document import MAX_ORIGINAL_BYTES
from adapters.connectors.cap.fetch import Fetcher, FetchFailed
from adapters.connectors.cap.intake import Intake
from adapters.connectors.cap.options import FeedOptions
from adapters.connectors.cap.unpack import Entry, read_feed
from gateway.errors import Busy, GatewayError, PartnerFrozen, PartnerUnknown, PolicyDenied, Rejected
from gateway.ports import Desk

MAX_REMEMBERED: Final = 20_000
"""Entries; four of the largest feeds taken."""
CONCURRENT: Final = 4
"""Alerts of one feed fetched at a time: enough to hide latency, too few to trouble a small server."""
LONGEST_PAUSE_S: Final = 900.0
"""However long a feed was away, its return is noticed within a quarter of an hour."""
MAX_TRIES: Final = 5
"""An entry whose alert cannot be fetched is given up after so many rounds, so that the feed can rest on its ETag."""


class Poller:
    """Follows one feed."""

    def __init__(self, desk: Desk, options: FeedOptions) -> None:
        self._desk = desk
        self._options = options
        self._intake = Intake(desk, options)
        self._label = f"feed {options.name}"
        self._validators: Mapping[str, str] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._tries: dict[str, int] = {}
        self._again = False
        """Something was refused that may be accepted later; the feed has to come whole once more."""
        self._refused = ""
        """Why the last alert refused was refused."""

    async def run(self) -> None:
        """Poll again and again."""
        failures = 0
        async with Fetcher(self._options, self._desk.now_ms) as fetcher:
            while True:
                pause_s = self._options.interval_s
                try:
                    await self.poll(fetcher)
                    failures = 0
                    self._desk.note(self._label, self._refused)
                except (FetchFailed, Rejected, Busy) as error:
                    failures += 1
                    text = error.problem if isinstance(error, FetchFailed) else error.text
                    self._desk.note(self._label, text)
                    pause_s = min(pause_s * 2 ** min(failures, 10), max(LONGEST_PAUSE_S, pause_s))
                    if isinstance(error, FetchFailed) and error.retry_after_s is not None:
                        pause_s = max(pause_s, error.retry_after_s)
                # Jitter: a hundred gateways must not call on the same second.
                await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))  # noqa: S311 no secret

    async def poll(self, fetcher: Fetcher) -> None:
        """Fetch the feed once and hand in what is new.

        Raises:
            FetchFailed: The feed cannot be had, or one of its alerts cannot, for now.
            Rejected: It is no feed.
            Busy: The gateway takes nothing now.
        """
        fetched = await fetcher.get(self._options.url, self._options.max_kb << 10, self._validators)
        if fetched.data is None:
            return
        entries = await asyncio.to_thread(read_feed, fetched.data, self._options.url, self._options.max_kb << 10)
        self._refused, self._again = "", False
        present = {entry.key for entry in entries}
        self._tries = {key: tries for key, tries in self._tries.items() if key in present}
        # Oldest first, as feeds begin with the newest: an update must not overtake its alert.
        new = [entry for entry in reversed(entries) if not entry.key or entry.key not in self._settled]
        slots = asyncio.Semaphore(CONCURRENT)
        outcomes = await asyncio.gather(*(self._entry(fetcher, entry, slots) for entry in new), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                # Without its validators the feed comes whole the next time, and what failed is tried again.
                self._validators = {}
                raise outcome
        self._validators = {} if self._again else fetched.validators

    async def _entry(self, fetcher: Fetcher, entry: Entry, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                alerts = entry.inline
                if entry.link:
                    fetched = await fetcher.get(entry.link, 2 * MAX_ORIGINAL_BYTES)
                    alerts = (fetched.data or b"",)
                for alert in alerts:
                    for one in await self._intake.hand_in(alert):
                        if one.error is not None:
                            self._refuse(one.error, one.identifier)
                            if _may_pass_later(one.error):
                                self._again = True
                                return
            except Rejected as error:
                self._refuse(error, "")
            except FetchFailed as error:
                tries = self._tries[entry.key] = self._tries.get(entry.key, 0) + 1
                if not error.final and tries < MAX_TRIES:
                    raise
                self._refused = f"an alert of the feed was given up: {error.problem}"
            self._tries.pop(entry.key, None)
            self._remember(entry.key)

    def _refuse(self, error: GatewayError, identifier: str) -> None:
        self._refused = f"an alert was refused: {identifier} {error.reason} {error.text}"

    def _remember(self, key: str) -> None:
        self._settled[key] = None
        while len(self._settled) > MAX_REMEMBERED:
            self._settled.popitem(last=False)


def _may_pass_later(error: Rejected) -> bool:
    """Tell what an operator or a partner mends, without any change in the feed."""
    if isinstance(error, PolicyDenied):
        return all(rule.startswith("agreement/") for rule in error.rule_ids)
    return isinstance(error, PartnerUnknown | PartnerFrozen)
