"""Keep the log: sign its tree, and never sign two trees that do not fit together.

A checkpoint is a promise to everybody: the tree that it states only grows. A store that was restored from an older
copy, or run twice, would break it. Two memories tell: the mark in the key store, which a restored store does not bring
back with it, and the partners, who keep the newest checkpoint of ours that they saw. Either stops the signing for good.
So that the partners can tell in time, a gateway that has signed before asks them first when it starts.
"""

import asyncio
from typing import Final

from gateway.clock import Clock
from gateway.errors import LogInconsistent, LogRolledBack, ProofRejected, Rejected
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.log_keys import log_keys
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.partner_logs import PartnerLogs
from gateway.ids import PartnerId
from gateway.ports import (
    Checkpoint,
    CommitCheckpoint,
    LogHead,
    OpenLog,
    ProveConsistency,
    ReadLogHead,
    RootAt,
    ShownLogs,
    Store,
)
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.merkle import verify_consistency
from gateway.translog.note_keys import NoteKey, NoteSigner, SignatureKind
from gateway.translog.tree_head import TreeHead

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
        self.problem: LogRolledBack | LogInconsistent | None = None
        """Why nothing is signed any more."""

    async def open(self) -> str:
        """Return the log's name, giving it one the first time: who keeps it, and the key it began with."""
        keys = self._keys.current
        origin = await self._store.write(OpenLog(f"{keys.partner}.concord/exchange-log/{keys.log.id.hex()}"))
        if (await self.head()).checkpoint is not None:
            self._unasked = {item for item in self._directory.partners() if not self._directory.known(item).frozen}
            self._ask_until_ms = self._clock.now_ms() + ASK_FIRST_MS
        return origin

    async def head(self) -> LogHead:
        """Return where the log stands."""
        return await self._store.read(ReadLogHead())

    def own_keys(self, origin: str) -> tuple[NoteKey, ...]:
        """Return the keys that verifiers of our log need, the replaced ones too: older checkpoints carry those."""
        return log_keys(origin, self._directory.card(self._directory.own).keys)

    async def sign_checkpoint(self) -> Checkpoint | None:
        """Sign the tree if it has grown since the last checkpoint; return the new one.

        Raises:
            LogRolledBack: The tree is not the one that was signed before, now or earlier in this process.
            LogInconsistent: The tree is damaged, now or earlier in this process.
            StoreUnavailable: It could not be kept, so nobody sees it.
        """
        async with self._signing:
            if self.problem is not None:
                raise self.problem
            head = await self.head()
            try:
                await self._check_grown(head)
            except (LogRolledBack, LogInconsistent) as error:
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
            kept = await self._store.write(CommitCheckpoint(checkpoint))
            return checkpoint if kept else None

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
        signed = [] if head.mark is None else [head.mark]
        if head.checkpoint is not None:
            signed.append((head.checkpoint.size, head.checkpoint.root))
        for size, root in signed:
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
        """Return what to show a partner: our newest checkpoint, proved to follow from the one of `since` entries."""
        checkpoint = (await self.head()).checkpoint
        seen = await self.theirs.seen_of(partner)
        if checkpoint is None:
            return ShownLogs(checkpoint=b"", seen=seen, proven_from=0, consistency=())
        proof: tuple[bytes, ...] = ()
        if not 0 < since <= checkpoint.size or self.problem is not None:
            since = 0
        else:
            proof = await self._store.read(ProveConsistency(old_size=since, new_size=checkpoint.size))
        return ShownLogs(checkpoint=checkpoint.note, seen=seen, proven_from=since, consistency=proof)

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
        tree = self.theirs.opened(self._directory.own, note)
        head = await self.head()
        if tree.origin != head.origin:
            return 0
        if tree.size > head.size or await self._store.read(RootAt(tree.size)) != tree.root:
            self.problem = LogRolledBack(
                f"'{partner}' holds a checkpoint of ours of {tree.size} entries that is not here"
            )
            raise self.problem
        return tree.size
