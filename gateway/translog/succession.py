"""How a log begins that follows another one, which cannot go on: what its first entry says of the one before.

The statement is an event like any other, so its leaf, its proof and the new log's checkpoint make it undeniable: who
restored an older copy has signed how much was signed before, how much of it is left, and why.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import FieldInvalid, MessageMalformed
from gateway.translog.entry import EventType, LogEvent, check_text
from gateway.translog.merkle import EMPTY_ROOT, HASH_BYTES
from gateway.translog.tree_head import check_name, parse_decimal

MAX_REASON: Final = 100
"""What is left of an entry's detail beside the longest name of a log."""
_DETAIL: Final = re.compile(
    r"after (?P<origin>\S+) signed (?P<size>[0-9]{1,19}) sure (?P<sure>[0-9]{1,19})"
    r" kept (?P<kept>[0-9]{1,19}) (?P<root>[0-9a-f]{64}) because (?P<reason>.+)\Z",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """What a log says of the one that it follows."""

    origin: str
    """Name of the log before."""
    size: int
    root: bytes
    """The last that is known to have been signed of it, here or held by a partner."""
    sure_size: int
    """So many of those are here for certain: as many as the newest checkpoint that is here covers and fits."""
    kept_size: int
    kept_root: bytes
    """The tree that is here, with what came after the copy and was never signed: empty when a copy was restored that
    never had this log."""
    reason: str
    """In the words of the operator who began the new one."""

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not self.reason.strip() or " " * 2 in self.reason:
            raise FieldInvalid("reason", "says in a few words why, with single spaces")
        check_text("reason", self.reason, MAX_REASON)
        if len(self.root) != HASH_BYTES or len(self.kept_root) != HASH_BYTES:
            raise FieldInvalid("root", f"has {HASH_BYTES} bytes")
        if not 0 <= self.sure_size <= min(self.size, self.kept_size):
            raise FieldInvalid("sure_size", "is no more than was signed and than is kept")
        if (self.kept_size == 0) != (self.kept_root == EMPTY_ROOT):
            raise FieldInvalid("root", "is that of an empty tree where nothing is kept, and only there")

    def event(self, time_ms: int, actor: str) -> LogEvent:
        """Return the first event of the new log."""
        kept = f"kept {self.kept_size} {self.kept_root.hex()}"
        return LogEvent(
            type=EventType.LOG_BEGUN,
            time_ms=time_ms,
            actor=actor,
            digest=self.root,
            detail=f"after {self.origin} signed {self.size} sure {self.sure_size} {kept} because {self.reason}",
        )


def parse_succession(digest: bytes, detail: str) -> Succession:
    """Return what the first event of a log says.

    Raises:
        MessageMalformed, FieldInvalid: It is not such a statement, or not written in the one way.
    """
    found = _DETAIL.match(detail)
    if found is None:
        raise MessageMalformed("a log that follows another one names it, its last head and what is kept")
    return Succession(
        origin=found["origin"],
        size=parse_decimal(found["size"]),
        root=digest,
        sure_size=parse_decimal(found["sure"]),
        kept_size=parse_decimal(found["kept"]),
        kept_root=bytes.fromhex(found["root"]),
        reason=found["reason"],
    )
