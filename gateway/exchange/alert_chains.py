"""Which alert of ours a draft is about, and what is stored of an alert to find it again.

Whoever hands in an update or cancellation names its predecessor by message or, as CAP does, by sender, identifier and
time; the second way is turned into the first here, so that partners need not read the body to know.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gateway.clock import Clock
from gateway.crypto.blind_index import alert_key
from gateway.crypto.keys import KeyEncryptionKey
from gateway.errors import GatewayError, ModeDiffers, StateConflict
from gateway.ids import MessageId, PartnerId
from gateway.model.alert import Alert
from gateway.model.header import Supersedes
from gateway.model.message import Body, Draft
from gateway.ports import AlertEntry, FindAlerts, Store
from gateway.workflow.alert import ISSUER, state_at, step
from gateway.workflow.alert_chain import (
    MAX_OWN_CHAIN,
    REMEDIES,
    WORDS,
    Claim,
    KnownAlert,
    Problem,
    Relation,
    event_of,
    relate,
)

MAX_REFERENCES: Final = 16
"""References that are looked at, the newest: real files have up to ten."""
_LEFT_TO_THREADS: Final = frozenset({Problem.UNKNOWN, Problem.FOREIGN, Problem.CHANGED, Problem.OTHER_MODE})
"""What is said of a predecessor named by its message, whatever its kind."""


def entry_of(body: Body, key: KeyEncryptionKey) -> AlertEntry | None:
    """Return what is stored to find an alert; None when it is none."""
    alert = body.content
    if not isinstance(alert, Alert):
        return None
    # To the second: references are CAP's, which knows no fractions.
    own = _name(key, alert.source_sender, alert.identifier, alert.sent_time.time_ms // 1000 * 1000)
    references: list[tuple[int, bytes]] = []
    for item in alert.references:
        sent_ms = _instant_ms(item.sent)
        if sent_ms is not None:
            references.append((sent_ms, _name(key, item.sender, item.identifier, sent_ms)))
    references.sort(reverse=True)
    keys = list(dict.fromkeys(digest for _, digest in references))
    return AlertEntry(
        key=own,
        alert_type=alert.alert_type,
        references=tuple(item for item in keys if item != own)[:MAX_REFERENCES],
        self_reference=own in keys,
    )


def _name(key: KeyEncryptionKey, sender: str, identifier: str, sent_ms: int) -> bytes:
    # Vietnamese or Thai from two programs of one office may be composed and decomposed: to people it is one name.
    if not (sender.isascii() and identifier.isascii()):
        sender, identifier = unicodedata.normalize("NFC", sender), unicodedata.normalize("NFC", identifier)
    return alert_key(key, sender, identifier, sent_ms)


def _instant_ms(text: str) -> int | None:
    """Return an instant; None when it is none. Without an offset it is UTC, as where alerts are read."""
    try:
        time = datetime.fromisoformat(text.strip())
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return math.floor(seconds) * 1000


class AlertChains:
    """Finds the predecessors of drafts among what was sent from here."""

    def __init__(self, *, store: Store, own: PartnerId, clock: Clock) -> None:
        self._store = store
        self._own = own
        self._clock = clock

    async def continued(self, drafts: Sequence[tuple[Draft, AlertEntry | None]]) -> list[Draft | GatewayError]:
        """Return each draft with its predecessor and thread named, or why it may not leave.

        What is read is read at once; nothing is read when no draft is about an earlier alert.
        """
        about = [
            (draft, entry)
            for draft, entry in drafts
            if entry is not None and event_of(entry.alert_type, supersedes=draft.supersedes is not None) is not None
        ]
        if not about:
            return [draft for draft, _ in drafts]
        found = await self._store.read(
            FindAlerts(
                partner=self._own,
                message_ids=tuple({d.supersedes.message_id: None for d, _ in about if d.supersedes is not None}),
                keys=tuple({key: None for d, e in about if d.supersedes is None for key in e.references}),
            )
        )
        by_id = {(item.partner, item.message_id): item for item in found}
        by_key: dict[bytes, list[KnownAlert]] = {}
        for item in found:
            by_key.setdefault(item.key, []).append(item)

        def find(partner: PartnerId, message_id: MessageId) -> KnownAlert | None:
            return by_id.get((partner, message_id))

        now_ms = self._clock.now_ms()
        answers: list[Draft | GatewayError] = []
        for draft, entry in drafts:
            if entry is None:
                answers.append(draft)
                continue
            relation = relate(
                _claim(self._own, draft, entry, now_ms), find, lambda key: by_key.get(key, ()), MAX_OWN_CHAIN
            )
            try:
                answers.append(_continued(draft, relation, now_ms))
            except GatewayError as error:
                answers.append(error)
        return answers


def _claim(own: PartnerId, draft: Draft, entry: AlertEntry, now_ms: int) -> Claim:
    return Claim(
        partner=own,
        message_id=None,
        alert_type=entry.alert_type,
        mode=draft.mode,
        create_ms=now_ms,
        supersedes=draft.supersedes,
        references=entry.references,
        self_reference=entry.self_reference,
    )


def _continued(draft: Draft, relation: Relation, now_ms: int) -> Draft:
    problem, before = relation.problem, relation.predecessor
    if problem is not None:
        if draft.supersedes is not None and problem in _LEFT_TO_THREADS:
            return draft
        if problem is Problem.OTHER_MODE:
            raise ModeDiffers(WORDS[problem])
        raise StateConflict(f"{WORDS[problem]}; {REMEDIES.get(problem, 'issue a new alert')}")
    if relation.event is None or before is None:
        return draft
    step(ISSUER, state_at(before.state, before.expire_ms, now_ms), relation.event)
    if draft.supersedes is not None and draft.supersedes.message_id == before.message_id:
        return draft
    # The last of the chain, whichever was named: partners need not follow the chain to find it.
    return replace(
        draft,
        supersedes=Supersedes(message_id=before.message_id, content_commitment=before.content_commitment),
        thread_id=draft.thread_id or before.thread_id,
    )
