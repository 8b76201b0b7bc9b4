"""The digest that officers approve: exactly what would leave, to whom, and on which terms (DESIGN 9).

The content is in it by its commitment, whose salt is drawn when the draft is held: what was shown, what was approved
and what every recipient opens are one. Whatever can be changed about a draft changes the digest.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from gateway.crypto.framing import RELEASE, number, pae
from gateway.crypto.suite1 import SALT_BYTES, content_commitment
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Supersedes
from gateway.model.message import Draft, Handling

__all__ = ["content_commitment", "new_salt", "release_digest"]

_ABSENT: Final = b""


def new_salt() -> bytes:
    """Return the salt under which a draft is committed to."""
    return os.urandom(SALT_BYTES)


def release_digest(
    draft: Draft, *, message_id: MessageId, thread_id: ThreadId, expire_ms: int, content_commitment: bytes
) -> bytes:
    """Return what stands for a draft in the decisions about it: SHA-256, 32 bytes."""
    return hashlib.sha256(
        pae(
            RELEASE,
            message_id.raw,
            thread_id.raw,
            content_commitment,
            draft.body.authority.name.encode(),
            number(draft.body.kind),
            number(draft.mode),
            number(draft.urgency),
            number(expire_ms),
            _codes(draft.recipients),
            _ABSENT if draft.in_reply_to is None else draft.in_reply_to.raw,
            _superseded(draft.supersedes),
            _handling(draft.body.handling),
        )
    ).digest()


def _codes(partners: Sequence[PartnerId]) -> bytes:
    return b" ".join(partner.code.encode("ascii") for partner in partners)


def _superseded(named: Supersedes | None) -> bytes:
    return _ABSENT if named is None else named.message_id.raw + named.content_commitment


def _handling(handling: Handling) -> bytes:
    return pae(
        RELEASE,
        handling.purpose.encode(),
        number(handling.tlp),
        number(handling.onward),
        _codes(handling.onward_partners),
        _instant(handling.retain_until_ms),
        _instant(handling.review_ms),
    )


def _instant(time_ms: int | None) -> bytes:
    return _ABSENT if time_ms is None else number(time_ms)
