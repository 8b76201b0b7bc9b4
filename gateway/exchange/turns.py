"""Order among the frames of one partner, which are judged and stored several at a time.

A frame that continues threads is judged by what is stored. Was the frame before it judged but not stored yet, it
would be judged by less: a thread begun as an exercise would take in a message that is actual. So it waits for them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.ids import PartnerId


class Turns:
    """Who of a partner's frames is between judging and being stored, in this process."""

    def __init__(self) -> None:
        self._under_way: dict[PartnerId, dict[asyncio.Event, None]] = {}

    @contextlib.asynccontextmanager
    async def take(self, partner: PartnerId, *, behind: bool) -> AsyncIterator[None]:
        """Be under way; with `behind`, only after all that were so before."""
        # Everyone waits only for those before it, so that no two wait for each other.
        mine, under_way = asyncio.Event(), self._under_way.setdefault(partner, {})
        before = list(under_way) if behind else []
        under_way[mine] = None
        try:
            for other in before:
                await other.wait()
            yield
        finally:
            mine.set()
            under_way.pop(mine)
            if not under_way and self._under_way.get(partner) is under_way:
                del self._under_way[partner]
