"""Keep the log: sign its tree, and never sign two trees that do not fit together.

A checkpoint is a promise to everybody: the tree that it states only grows. A store that was restored from an older
copy, or run twice, would break it. Two memories tell: the mark in the key store, which a restored store does not bring
back with it, and the partners, who keep the newest checkpoint of ours that they saw. Either stops the signing for good.
So that the partners can tell in time, a gateway that has signed before asks them first when it starts.
"""

import asyncio
from typing import Final

from gateway.clock import Clock
from gateway.crypto.keys import VerifyKey
from gateway.crypto.mldsa import MLDSAVerifyKey
from gateway.errors import LogForked, LogInconsistent, LogRolledBack, MessageTooLarge, ProofRejected, Rejected
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import partner_principal, step
from gateway.ids import PartnerId
from gateway.model.partner import CardKey, KeyPurpose
from gateway.ports import (
    Checkpoint,
    CommitCheckpoint,
    KeepPartnerCheckpoint,
    LogEntry,
    LogHead,
    OpenLog,
    PartnerCheckpoints,
    ProveConsistency,
    ReadLogHead,
    RootAt,
    Seen,
    Store,
)
from gateway.translog.checkpoint import Checkpoint as SignedTree
from gateway.translog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.translog.entry import EventType
from gateway.translog.merkle import verify_consistency
from gateway.translog.note import parse_note
from gateway.translog.note_keys import NoteKey, NoteSigner, SignatureKind
from gateway.translog.tree_head import TreeHead, parse_tree_head

MAX_CHECKPOINT_BYTES: Final = 16_384
"""What partners show one another: a body and a few signatures."""
SIGHTING_MS: Final = 86_400_000
"""A newer checkpoint of a partner's log becomes an entry once a day, and one that contradicts another always."""
ASK_FIRST_MS: Final = 30_000
"""How long after a start partners may be away before we sign without having asked them."""


def log_keys(origin: str, keys: tuple[CardKey, ...]) -> tuple[NoteKey, ...]:
    """Return the keys of a card that may have signed checkpoints of its log, revoked ones left out."""
    found: list[NoteKey] = []
    for key in keys:
        if key.revoke_ms is not None:
            continue
        if key.purpose is KeyPurpose.LOG:
            found.append(NoteKey(origin, SignatureKind.ED25519, VerifyKey(key.public_key)))
        elif key.purpose is KeyPurpose.LOG_COSIGN:
            found.append(NoteKey(origin, SignatureKind.MLDSA44_COSIGNATURE, MLDSAVerifyKey(key.public_key)))
    return tuple(found)


def signers_of(note: bytes, keys: tuple[NoteKey, ...]) -> tuple[NoteKey, ...]:
    """Return those of the keys that a note names as its signers; nothing is verified.

    Raises:
        MessageMalformed, MessageTooLarge: Not a note.
    """
    named = {signature.key_id for signature in parse_note(note).signatures}
    return tuple(key for key in keys if key.id in named)


def signing_pair(note: bytes, keys: tuple[NoteKey, ...]) -> tuple[NoteKey, ...]:
    """Return the pair of keys, one of each kind, that a checkpoint names as its signers; nothing is verified.

    Raises:
        MessageMalformed, MessageTooLarge: Not a note.
        ProofRejected: It names no such pair.
    """
    used = signers_of(note, keys)
    if {key.kind for key in used} != {SignatureKind.ED25519, SignatureKind.MLDSA44_COSIGNATURE}:
        raise ProofRejected("the checkpoint is not signed by both keys of its log")
    return used


def open_with(note: bytes, origin: str, keys: tuple[NoteKey, ...]) -> SignedTree:
    """Return a checkpoint signed by a pair of the keys, whichever were in use then: one of each kind.

    Raises:
        MessageMalformed, MessageTooLarge: Not a checkpoint.
        ProofRejected: Another log's, or not signed by such a pair.
    """
    return open_checkpoint(note, origin=origin, log_keys=signing_pair(note, keys))


class LogKeeper:
    """Signs our log and remembers what partners signed of theirs."""

    def __init__(self, *, directory: PartnerDirectory, store: Store, clock: Clock, keys: KeyHolder) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._keys = keys
        self._signing = asyncio.Lock()
        self._unasked: set[PartnerId] = set()
        self._ask_until_ms = 0
        self._noted_ms: dict[str, int] = {}
        """When a sighting of a log was last recorded, by its name."""
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

    # --- what partners know, and what we know of them ----------------------------------------------------------

    async def newest(self) -> bytes:
        """Return our newest checkpoint; empty before the first."""
        checkpoint = (await self.head()).checkpoint
        return b"" if checkpoint is None else checkpoint.note

    async def seen_of(self, partner: PartnerId) -> bytes:
        """Return the newest checkpoint that we saw of a partner's log; empty when we saw none."""
        seen = await self._store.read(PartnerCheckpoints(partner))
        return max(seen, key=lambda item: item.checkpoint.time_ms).checkpoint.note if seen else b""

    async def hear_own(self, partner: PartnerId, note: bytes) -> None:
        """Take a checkpoint of ours that a partner shows: proof of what we once signed, whatever our files say.

        Raises:
            Rejected: It is not a checkpoint signed by us: nothing follows from it.
            LogRolledBack: It is, and our tree does not fit it.
        """
        try:
            if note:
                await self._compare_own(partner, note)
        except Rejected:
            self._unasked.discard(partner)
            raise
        self._unasked.discard(partner)

    async def _compare_own(self, partner: PartnerId, note: bytes) -> None:
        tree = self._opened(self._directory.own, note)
        head = await self.head()
        if tree.origin != head.origin:
            return
        if tree.size > head.size or await self._store.read(RootAt(tree.size)) != tree.root:
            self.problem = LogRolledBack(
                f"'{partner}' holds a checkpoint of ours of {tree.size} entries that is not here"
            )
            raise self.problem

    async def hear_partner(self, partner: PartnerId, note: bytes) -> Seen | None:
        """Keep a checkpoint that a partner shows of its log.

        Raises:
            Rejected: Not a checkpoint, or not signed by the partner's log.
            LogForked: It contradicts one that the partner signed before; both are kept.
        """
        if not note:
            return None
        tree = self._opened(partner, note)
        now_ms = self._clock.now_ms()
        checkpoint = Checkpoint(size=tree.size, root=tree.root, time_ms=now_ms, note=note)

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
                checkpoint=checkpoint,
                newer_log=noted("") if due else None,
                fork_log=noted(LogForked.reason),
            )
        )
        if seen is Seen.NEWER and due:
            self._noted_ms[tree.origin] = now_ms
        if seen is Seen.TOO_MANY:
            raise ProofRejected("the partner's logs have too many names already")
        if seen is Seen.FORK:
            raise LogForked(f"the log of '{partner}' states two trees of {tree.size} entries")
        return seen

    def signers(self, partner: PartnerId, note: bytes) -> tuple[str, tuple[NoteKey, ...]]:
        """Return the name of a partner's log and the keys of its card that signed a checkpoint of it, not verified.

        Raises:
            Rejected: Not a checkpoint of a log of this partner, or not signed by such keys.
        """
        if len(note) > MAX_CHECKPOINT_BYTES:
            raise MessageTooLarge("the checkpoint", len(note), MAX_CHECKPOINT_BYTES)
        origin = parse_tree_head(parse_note(note).text).origin
        if not origin.startswith(f"{partner}.concord/"):
            raise ProofRejected("the checkpoint is of another state's log")
        return origin, signing_pair(note, log_keys(origin, self._directory.card(partner).keys))

    def _opened(self, partner: PartnerId, note: bytes) -> SignedTree:
        origin, keys = self.signers(partner, note)
        return open_checkpoint(note, origin=origin, log_keys=keys)
