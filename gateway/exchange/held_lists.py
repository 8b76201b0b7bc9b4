"""Lists of held drafts: without content, newest first, each caller only what is its own to see."""

import re
from collections.abc import Callable
from typing import Final

from gateway.clock import Clock
from gateway.errors import PageTokenInvalid
from gateway.exchange.steps import step
from gateway.ports import AppendLog, HeldDraft, ListHeld, Store
from gateway.translog.entry import EventType
from gateway.workflow.claim import Claim

MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
_FAR_MS: Final = (1 << 63) - 1
_TOKEN: Final = re.compile(r"([0-9]{1,19})\.([0-9a-f]{32})\Z", re.ASCII)


class HeldLists:
    """Answers what is held."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list(
        self,
        *,
        actor: str,
        may_see: Callable[[HeldDraft], bool],
        open_only: bool,
        page_size: int,
        page_token: str,
    ) -> tuple[tuple[tuple[HeldDraft, Claim | None], ...], str]:
        """Return a page and the token of the next; it holds fewer than asked for when others are not for the caller.

        Raises:
            PageTokenInvalid: Not a token of this call.
        """
        size = min(page_size, MAX_PAGE) if page_size > 0 else DEFAULT_PAGE
        before_ms, before_id = _parse(page_token) if page_token else (_FAR_MS, b"\xff" * 16)
        rows = await self._store.read(
            ListHeld(open_only=open_only, before_ms=before_ms, before_id=before_id, max_rows=size + 1)
        )
        token = ""
        if len(rows) > size:
            last = rows[size - 1][0]
            token = f"{last.create_ms}.{last.proposal_id.raw.hex()}"
        seen = tuple(row for row in rows[:size] if may_see(row[0]))
        listed = step(EventType.LIST_SHOWN, self._clock.now_ms(), actor=actor, detail=f"{len(seen)} proposals")
        await self._store.write(AppendLog((listed,)))
        return seen, token


def _parse(text: str) -> tuple[int, bytes]:
    found = _TOKEN.match(text)
    if found is None or int(found[1]) > _FAR_MS:
        raise PageTokenInvalid("the page token was not made by this gateway")
    return int(found[1]), bytes.fromhex(found[2])
