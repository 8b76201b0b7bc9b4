"""Keep the log: sign its tree, and never sign two trees that do not fit together.

A checkpoint is a promise to everybody: the tree that it states only grows. A store that was restored from an older
copy, or run twice, would break it. Two memories tell: the mark in the key store, which a restored store does not bring
back with it, and the partners, who keep the newest checkpoint of ours that they saw. Either stops the signing for good.
So that the partners can tell in time, a gateway that has signed before asks them first when it starts.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gateway.clock import Clock
from gateway.errors import (
    ConcurrentUpdate,
    LogInconsistent,
    LogRolledBack,
    NotFound,
    ProofRejected,
    Rejected,
    StateConflict,
)
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.log_keys import log_keys
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.partner_logs import PartnerLogs
from gateway.exchange.steps import new_salts
from gateway.ids import PartnerId
from gateway.model.partner import CardKey
from gateway.ports import (
    PRESENT,
    BeginLog,
    Checkpoint,
    CommitCheckpoint,
    CondemnLog,
    EndedLogs,
    LogHead,
    LogVerdict,
    OpenLog,
    ProveConsistency,
    ProveInclusion,
    PruneCheckpoints,
    ReadLog,
    ReadLogHead,
    RootAt,
    ShownLogs,
    ShownProof,
    Store,
)
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.disclosure import disclose, to_json
from gateway.translog.entry import Facet
from gateway.translog.merkle import EMPTY_ROOT, verify_consistency
from gateway.translog.note_keys import NoteKey, NoteSigner, SignatureKind
from gateway.translog.proof import write_proof
from gateway.translog.succession import Succession
from gateway.translog.tree_head import TreeHead

KEEP_ALL_MS: Final = 86_400_000
"""Beyond a day, one checkpoint an hour is enough for whoever compares."""
PRUNE_ROWS: Final = 1024
ASK_FIRST_MS: Final = 30_000
"""How long after a start partners may be away before we sign without having asked them."""


class LogKeeper:
    """Signs our log, shows it to partners and hears what they saw of it."""

    def __init__(self, *, directory: PartnerDirectory, store: Store, clock: Clock, keys: KeyHolder) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._keys = keys
        self.theirs = PartnerLogs(directory=directory, store=store, clock=clock)
        self._signing = asyncio.Lock()
        self._unasked: set[PartnerId] = set()
        self._ask_until_ms = 0
        self._known: dict[PartnerId, int] = {}
        self._number = 0
        """Of the log that the problem is about: another replica may have begun the next one."""
        self.problem: LogRolledBack | LogInconsistent | None = None
        """Why nothing is signed any more."""

    async def open(self) -> str:
        """Return the log's name, giving it one the first time: who keeps it, and the key it began with."""
        keys = self._keys.current
        origin = await self._store.write(OpenLog(f"{keys.partner}.concord/exchange-log/{keys.log.id.hex()}"))
        if (await self._present()).checkpoint is not None:
            self._unasked = {item for item in self._directory.partners() if not self._directory.known(item).frozen}
            self._ask_until_ms = self._clock.now_ms() + ASK_FIRST_MS
        return origin

    async def head(self, log: int = PRESENT) -> LogHead:
        """Return where a log of ours stands.

        Raises:
            NotFound: We have kept none of this number.
        """
        head = await self._store.read(ReadLogHead(log))
        if head is None:
            raise NotFound(f"there is no log {log}")
        return head

    async def _present(self) -> LogHead:
        """Return where the log stands, with what is known against it: a restart and other replicas count too."""
        head = await self.head()
        if head.number != self._number:
            self._number, self.problem = head.number, None
            self._known.clear()
        if self.problem is None and head.verdict is not None:
            self.problem = LogRolledBack(head.verdict.problem)
        return head

    def own_keys(self, origin: str) -> tuple[NoteKey, ...]:
        """Return the keys that verifiers of our log need, the replaced ones too: older checkpoints carry those."""
        return log_keys(origin, self.card_keys(), revoked=True)

    def card_keys(self) -> tuple[CardKey, ...]:
        """Return the keys of our card, with those that were replaced or revoked."""
        return self._directory.card(self._directory.own).keys

    async def sign_checkpoint(self) -> Checkpoint | None:
        """Sign the tree if it has grown since the last checkpoint; return the new one.

        Raises:
            LogRolledBack: The tree is not the one that was signed before, now or earlier in this process.
            LogInconsistent: The tree is damaged, now or earlier in this process.
            StoreUnavailable: It could not be kept, so nobody sees it.
        """
        async with self._signing:
            head = await self._present()
            if self.problem is not None:
                raise self.problem
            try:
                await self._check_grown(head)
            except LogRolledBack as error:
                await self._condemn(head, error, _signed_last(head))
                raise
            except LogInconsistent as error:
                self.problem = error
                raise
            last = head.checkpoint
            if head.size == 0 or (last is not None and last.size >= head.size) or self._must_ask():
                return None
            keys, now_ms = self._keys.current, self._clock.now_ms()
            tree = TreeHead(head.origin, head.size, head.root)
            signers = (
                NoteSigner(head.origin, SignatureKind.ED25519, keys.log),
                NoteSigner(head.origin, SignatureKind.MLDSA44_COSIGNATURE, keys.log_cosign),
            )
            # Away from the event loop: ML-DSA takes a millisecond, and nobody's message waits for it.
            signed = await asyncio.to_thread(sign_checkpoint, tree, signers, now_ms // 1000)
            checkpoint = Checkpoint(size=head.size, root=head.root, time_ms=now_ms, note=signed.note)
            kept = await self._store.write(CommitCheckpoint(head.number, checkpoint))
            return checkpoint if kept else None

    async def prune(self) -> None:
        """Drop checkpoints older than a day, but one an hour and those that partners have shown to hold.

        Nothing refers to one that goes: proofs and partners have copies, and any later one covers the same entries.
        """
        before_ms, keep = self._clock.now_ms() - KEEP_ALL_MS, tuple(self._known.values())
        after: int | None = 0
        while after is not None:
            after = await self._store.write(
                PruneCheckpoints(before_ms=before_ms, after=after, max_rows=PRUNE_ROWS, keep=keep)
            )

    def _must_ask(self) -> bool:
        """Say whether partners have to be heard before anything is signed."""
        # A clock that is set back does not stretch it.
        if not 0 < self._ask_until_ms - self._clock.now_ms() <= ASK_FIRST_MS:
            self._unasked.clear()
        return bool(self._unasked & set(self._directory.partners()))

    async def _check_grown(self, head: LogHead) -> None:
        """Compare the tree with what was signed before.

        Raises:
            LogRolledBack: It does not begin with that.
        """
        for size, root in _heads(head):
            if size > head.size:
                raise LogRolledBack(f"{size} entries were signed before, and only {head.size} are here")
            if await self._store.read(RootAt(size)) != root:
                raise LogRolledBack(f"the first {size} entries are not those that were signed before")
        if head.checkpoint is not None and head.checkpoint.size < head.size:
            old = head.checkpoint
            proof = await self._store.read(ProveConsistency(old_size=old.size, new_size=head.size))
            try:
                verify_consistency(old.size, head.size, old.root, head.root, proof)
            except ProofRejected as error:
                raise LogRolledBack(f"the tree does not follow from the last checkpoint: {error.text}") from None

    # --- what partners know of it --------------------------------------------------------------------------------

    async def show(self, partner: PartnerId, since: int) -> ShownLogs:
        """Return what to show a partner: our newest checkpoint, proved to follow from the one of `since` entries.

        A partner that has seen none of a log which follows another one is shown how it begins.
        """
        head = await self._present()
        checkpoint, seen = head.checkpoint, await self.theirs.seen_of(partner)
        if checkpoint is None:
            return ShownLogs(checkpoint=b"", seen=seen, proven_from=0, consistency=(), beginning=None)
        proof: tuple[bytes, ...] = ()
        beginning = None
        if not 0 < since <= checkpoint.size or self.problem is not None:
            beginning = await self._beginning(checkpoint) if head.number > 1 and self.problem is None else None
            since = 0
        else:
            proof = await self._store.read(ProveConsistency(old_size=since, new_size=checkpoint.size))
        return ShownLogs(
            checkpoint=checkpoint.note, seen=seen, proven_from=since, consistency=proof, beginning=beginning
        )

    async def _beginning(self, checkpoint: Checkpoint) -> ShownProof | None:
        """Return how the log begins, proved under a checkpoint; None once that entry is erased."""
        records = await self._store.read(ReadLog(first=0, max_rows=1))
        if not records or records[0].event is None:
            return None
        hashes = await self._store.read(ProveInclusion(index=0, size=checkpoint.size))
        (first,) = records
        # Which operator did it stays with us.
        shown = disclose(records[0].event, first.salts, (Facet.WHAT, Facet.WHEN, Facet.WHICH))
        return ShownProof(first.leaf, write_proof(0, hashes, checkpoint.note), to_json(shown))

    def known_to(self, partner: PartnerId) -> int:
        """Return of how many entries the newest checkpoint of ours is that a partner has shown to hold."""
        return self._known.get(partner, 0)

    async def hear_own(self, partner: PartnerId, note: bytes) -> int:
        """Take a checkpoint of ours that a partner shows: proof of what we once signed, whatever our files say.

        Returns of how many entries of this log it is; 0 when it shows none.

        Raises:
            Rejected: It is not a checkpoint signed by us: nothing follows from it.
            LogRolledBack: It is, and our tree does not fit it.
            LogInconsistent: Our tree is damaged.
        """
        try:
            size = await self._compare_own(partner, note) if note else 0
        except Rejected:
            self._unasked.discard(partner)
            raise
        self._unasked.discard(partner)
        self._known[partner] = size
        return size

    async def _compare_own(self, partner: PartnerId, note: bytes) -> int:
        tree = self.theirs.opened_past(self._directory.own, note)
        head = await self._present()
        if tree.origin != head.origin:
            if tree.origin in {item.origin for item in await self._store.read(EndedLogs())}:
                # It has not seen the present one yet.
                return 0
            error = LogRolledBack(f"'{partner}' holds a checkpoint of a log of ours that is not here: {tree.origin}")
        elif tree.size > head.size or await self._store.read(RootAt(tree.size)) != tree.root:
            error = LogRolledBack(f"'{partner}' holds a checkpoint of ours of {tree.size} entries that is not here")
        else:
            return tree.size
        await self._condemn(head, error, (tree.origin, tree.size, tree.root))
        raise error

    # --- when it cannot go on ------------------------------------------------------------------------------------

    async def _condemn(self, head: LogHead, error: LogRolledBack, signed: tuple[str, int, bytes]) -> None:
        """Sign nothing more, in this process or any later one."""
        self.problem = error
        origin, size, root = signed
        verdict = LogVerdict(problem=error.text, origin=origin, size=size, root=root)
        await self._store.write(CondemnLog(number=head.number, time_ms=self._clock.now_ms(), verdict=verdict))

    async def begin(self, origin: str, reason: str, *, actor: str) -> LogHead:
        """Begin another log, because this one cannot go on; return where it stands, signed.

        Args:
            origin: The name of the log that ends, as whoever decides this knows it.
            reason: Why, in a few words; partners are shown them.
            actor: Who decides it.

        Raises:
            StateConflict: The log is not what the caller believes, or there is nothing wrong with it.
            FieldInvalid: The reason cannot stand in an entry.
            ConcurrentUpdate: Another replica was faster.
        """
        async with self._signing:
            head = await self._present()
            if head.origin != origin:
                raise StateConflict(f"the log that is kept is {head.origin}")
            if self.problem is None:
                raise StateConflict("nothing is wrong with the log: one that can go on is not ended")
            signed = (head.origin, *max(_heads(head), default=(0, EMPTY_ROOT)))
            if head.verdict is not None and (head.verdict.origin != signed[0] or head.verdict.size > signed[1]):
                signed = (head.verdict.origin, head.verdict.size, head.verdict.root)
            # Tells at once whether the words can stand in an entry.
            Succession(
                origin=signed[0],
                size=signed[1],
                root=signed[2],
                sure_size=0,
                kept_size=0,
                kept_root=EMPTY_ROOT,
                reason=reason,
            )
            now_ms = self._clock.now_ms()
            stem = "/".join(head.origin.split("/")[:3])
            following = BeginLog(
                number=head.number,
                # Never a name that was used before: if this home is restored again, that is another log again.
                origin=f"{stem}/{datetime.fromtimestamp(now_ms // 1000, UTC):%Y%m%dT%H%M%SZ}",
                sound=True,
                problem=self.problem.text,
                reason=reason,
                signed=signed,
                time_ms=now_ms,
                actor=actor,
                salts=new_salts(),
            )
            try:
                begun = await self._store.write(following)
            except LogInconsistent:
                # Damage can look like a copy that was restored; what waits cannot go into such a tree.
                begun = await self._store.write(replace(following, sound=False))
            if not begun:
                raise ConcurrentUpdate("another log was begun at the same moment")
            # What partners hold of the one before says nothing about this one: nobody need be asked first.
            self._unasked.clear()
        await self.sign_checkpoint()
        return await self.head()


def _heads(head: LogHead) -> list[tuple[int, bytes]]:
    """Return size and root of what is known here to have been signed."""
    found = [] if head.mark is None else [head.mark]
    if head.checkpoint is not None:
        found.append((head.checkpoint.size, head.checkpoint.root))
    return found


def _signed_last(head: LogHead) -> tuple[str, int, bytes]:
    return head.origin, *max(_heads(head))
