"""Hear what partners sign of their logs, and keep what speaks against a log.

A checkpoint takes the place of the one seen before only when the partner proves that its tree grew out of that one.
Whatever contradicts is kept beside it: two signed statements, one of which is false, need no witness. Nothing
here stops an exchange: that is for an operator.
"""

from collections.abc import Sequence
from typing import Final

from gateway.clock import Clock
from gateway.errors import LogForked, MessageTooLarge, PartnerLogWentBack, ProofRejected, Rejected
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.log_findings import findings_of, newest_of
from gateway.exchange.log_keys import check_signed_in_time, log_keys, signing_pair
from gateway.exchange.steps import partner_principal, step
from gateway.ids import PartnerId
from gateway.ports import (
    Checkpoint,
    Finding,
    KeepPartnerCheckpoint,
    LogEntry,
    PartnerCheckpoints,
    PartnerLogBegun,
    PartnerLogsBegun,
    Seen,
    ShownProof,
    Store,
)
from gateway.ports import SeenCheckpoint as Kept
from gateway.translog.checkpoint import Checkpoint as SignedTree
from gateway.translog.checkpoint import open_checkpoint
from gateway.translog.disclosure import parse_json, verify_disclosure
from gateway.translog.entry import EventType
from gateway.translog.merkle import verify_consistency
from gateway.translog.note import parse_note
from gateway.translog.note_keys import NoteKey
from gateway.translog.proof import parse_proof, verify_proof
from gateway.translog.succession import parse_succession
from gateway.translog.tree_head import parse_tree_head

MAX_CHECKPOINT_BYTES: Final = 16_384
"""What partners show one another: a body and a few signatures."""
SIGHTING_MS: Final = 86_400_000
"""A newer checkpoint of a partner's log becomes an entry once a day, and one that speaks against it always."""
TOLD_MS: Final = 30 * 86_400_000
"""So long operators are told that a partner's log began anew; `concord log head` tells it for good."""
LATE_MS: Final = 120_000
"""A call that was on its way while the partner signed a newer checkpoint shows an older one, but not for so long."""


class PartnerLogs:
    """Remembers what partners signed of their logs."""

    def __init__(self, *, directory: PartnerDirectory, store: Store, clock: Clock) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._noted_ms: dict[str, int] = {}
        """When a sighting of a log was last recorded, by its name."""

    async def seen_of(self, partner: PartnerId) -> bytes:
        """Return the newest checkpoint that we saw of a partner's log; empty when we saw none."""
        kept = await self._store.read(PartnerCheckpoints(partner))
        good = [item for item in kept if item.finding is not Finding.WENT_BACK]
        return max(good, key=lambda item: item.checkpoint.time_ms).checkpoint.note if good else b""

    async def hear(
        self,
        partner: PartnerId,
        note: bytes,
        *,
        proven_from: int = 0,
        consistency: Sequence[bytes] = (),
        asked: bytes = b"",
        beginning: ShownProof | None = None,
    ) -> Seen | None:
        """Judge a checkpoint that a partner shows of its log, and keep it if it is proved to follow or is evidence.

        Args:
            partner: Who shows it.
            note: The checkpoint; empty for none.
            proven_from: Size of the tree that the proof begins with; 0 when there is none.
            consistency: The proof, from there to this checkpoint.
            asked: The checkpoint of this log that it answers, and from which the proof is due. A smaller tree or no
                proof from there tells, then; without it they may come of calls that cross.
            beginning: How it says that the log begins, when it follows another one.

        Raises:
            Rejected: Not a checkpoint, or not signed by the partner's log.
            LogForked: It contradicts one that the partner signed before; both are kept.
            PartnerLogWentBack: It is smaller than one that the partner signed before; both are kept.
        """
        if not note:
            return None
        tree = self.opened(partner, note)
        every = await self._store.read(PartnerCheckpoints(partner))
        kept = [item for item in every if item.origin == tree.origin]
        begun = self._begun(partner, tree.origin, beginning) if beginning is not None and not kept else None
        newest = newest_of(kept)
        late = newest is not None and self._clock.now_ms() - newest.checkpoint.time_ms > LATE_MS
        due = parse_tree_head(parse_note(asked).text) if asked else None
        if due is not None and due.origin == tree.origin and due.size < tree.size and due.size != proven_from:
            # Asked for a proof from there, it gave none: that is held against what was asked about.
            proven_from, consistency = due.size, ()
        knows_newer = due is not None and due.origin == tree.origin and tree.size < due.size
        basis, follows = _held_against(tree, kept, proven_from, consistency)
        return await self._keep(partner, tree, basis, follows=follows, knows_newer=knows_newer or late, begun=begun)

    def _begun(self, partner: PartnerId, origin: str, shown: ShownProof) -> PartnerLogBegun | None:
        """Return what a log says of the one before; None when that is not proved: then it says nothing."""
        try:
            proof = parse_proof(shown.proof)
            named, keys = self.signers(partner, proof.checkpoint)
            verify_proof(proof, shown.leaf, origin=named, log_keys=keys)
            event = verify_disclosure(shown.leaf, parse_json(shown.disclosure.encode()))
            if named != origin or event.type is not EventType.LOG_BEGUN:
                raise ProofRejected("the entry shown is not how this log begins")
            parse_succession(event.digest or b"", event.detail or "")
        except Rejected:
            return None
        return PartnerLogBegun(
            partner=partner,
            origin=origin,
            time_ms=self._clock.now_ms(),
            digest=event.digest or b"",
            detail=event.detail or "",
            leaf=shown.leaf,
            proof=shown.proof,
            disclosure=shown.disclosure,
        )

    async def compare(self, partner: PartnerId, note: bytes) -> Seen:
        """Judge a checkpoint that comes with a proof of something else, and may be older than the newest.

        Raises:
            Rejected, LogForked: As hear.
        """
        tree = self.opened_past(partner, note)
        if all(item.origin != tree.origin for item in await self._store.read(PartnerCheckpoints(partner))):
            # A log is met in an exchange, where it says how it begins.
            return Seen.UNPROVEN
        return await self._keep(partner, tree)

    async def _keep(
        self,
        partner: PartnerId,
        tree: SignedTree,
        basis: tuple[int, bytes] | None = None,
        *,
        follows: bool = False,
        knows_newer: bool = False,
        begun: PartnerLogBegun | None = None,
    ) -> Seen:
        now_ms = self._clock.now_ms()

        def noted(reason: str) -> LogEntry:
            return step(
                EventType.PARTNER_CHECKPOINT_SEEN,
                now_ms,
                actor=partner_principal(partner),
                partner=partner.code,
                digest=tree.root,
                reason=reason,
                detail=f"{tree.origin} {tree.size}",
            )

        # Were each one an entry, two idle logs would feed one another for ever. The newest is kept all the same.
        due = now_ms - self._noted_ms.get(tree.origin, -SIGHTING_MS) >= SIGHTING_MS
        seen = await self._store.write(
            KeepPartnerCheckpoint(
                partner=partner,
                origin=tree.origin,
                checkpoint=Checkpoint(size=tree.size, root=tree.root, time_ms=now_ms, note=tree.note),
                basis=basis,
                follows=follows,
                knows_newer=knows_newer,
                begun=begun,
                newer_log=noted("") if due else None,
                fork_log=noted(LogForked.reason),
                back_log=noted(PartnerLogWentBack.reason),
            )
        )
        match seen:
            case Seen.NEWER if due:
                self._noted_ms[tree.origin] = now_ms
            case Seen.TOO_MANY:
                raise ProofRejected("the partner's logs have too many names already")
            case Seen.FORK:
                raise LogForked(f"the log of '{partner}' states a tree of {tree.size} entries that contradicts another")
            case Seen.WENT_BACK:
                raise PartnerLogWentBack(f"the log of '{partner}' has gone back to {tree.size} entries")
            case _:
                pass
        return seen

    async def findings(self) -> tuple[str, ...]:
        """Return in words what speaks against the logs that partners keep now, and which of them began lately."""
        return tuple(
            text
            for text, begun_ms in findings_of(
                await self._store.read(PartnerCheckpoints()), await self._store.read(PartnerLogsBegun())
            )
            if begun_ms is None or self._clock.now_ms() - begun_ms < TOLD_MS
        )

    def signers(self, partner: PartnerId, note: bytes, *, revoked: bool = False) -> tuple[str, tuple[NoteKey, ...]]:
        """Return the name of a partner's log and the keys of its card that signed a checkpoint of it, not verified.

        Keys that were revoked are left out unless asked for: then check_signed_in_time is due.

        Raises:
            Rejected: Not a checkpoint of a log of this partner, or not signed by such keys.
        """
        if len(note) > MAX_CHECKPOINT_BYTES:
            raise MessageTooLarge("the checkpoint", len(note), MAX_CHECKPOINT_BYTES)
        origin = parse_tree_head(parse_note(note).text).origin
        if not origin.startswith(f"{partner}.concord/"):
            raise ProofRejected("the checkpoint is of another state's log")
        return origin, signing_pair(note, log_keys(origin, self._directory.card(partner).keys, revoked=revoked))

    def opened(self, partner: PartnerId, note: bytes) -> SignedTree:
        """Return a checkpoint that the log of a partner, or our own, has signed.

        Raises:
            Rejected: As signers, or a signature does not verify.
        """
        origin, keys = self.signers(partner, note)
        return open_checkpoint(note, origin=origin, log_keys=keys)

    def opened_past(self, partner: PartnerId, note: bytes) -> SignedTree:
        """Return a checkpoint that was signed at any time, by keys that counted then.

        Raises:
            Rejected: As signers, or a signature does not verify or was not made in time.
        """
        origin, keys = self.signers(partner, note, revoked=True)
        tree = open_checkpoint(note, origin=origin, log_keys=keys)
        check_signed_in_time(tree, self._directory.card(partner).keys)
        return tree


def _held_against(
    tree: SignedTree, kept: Sequence[Kept], proven_from: int, consistency: Sequence[bytes]
) -> tuple[tuple[int, bytes] | None, bool]:
    """Return which checkpoint that is kept the proof was held against, and whether it holds."""
    basis: tuple[int, bytes] | None = None
    for item in kept:
        old = item.checkpoint
        if not 0 < old.size == proven_from < tree.size:
            continue
        basis = (old.size, old.root)
        try:
            verify_consistency(old.size, tree.size, old.root, tree.root, consistency)
        except ProofRejected:
            # Two trees of one size may be kept: the partner goes on from one of them.
            continue
        return basis, True
    return basis, False
