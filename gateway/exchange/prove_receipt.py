"""Ask a partner to prove that its log has the step which its receipt names, and verify what it shows.

A receipt binds its issuer: the leaf that it names is to be in the issuer's log. Whoever keeps receipts and never asks
would not notice that it is not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.errors import NotFound, ProofRejected
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.steps import step
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.ports import AppendLog, Carrier, Codec, FindMessage, LinkIdentity, ShownProof, Store
from gateway.translog.disclosure import DisclosedEvent, parse_json, verify_disclosure
from gateway.translog.entry import EventType
from gateway.translog.merkle import leaf_hash
from gateway.translog.note_keys import NoteKey
from gateway.translog.proof import parse_proof, verify_proof

STEP_OF: Final = {
    Outcome.RECEIVED: EventType.MESSAGE_RECEIVED,
    Outcome.REFUSED: EventType.MESSAGE_REFUSED,
    Outcome.ACKNOWLEDGED_BY_SYSTEM: EventType.MESSAGE_ACKNOWLEDGED,
    Outcome.ACKNOWLEDGED_BY_OFFICER: EventType.MESSAGE_ACKNOWLEDGED,
}
"""What the issuer of a receipt has to have in its log."""


@dataclass(frozen=True, slots=True)
class ProvedReceipt:
    """A step of a partner's log, verified under the keys of its card."""

    index: int
    shown: ShownProof
    event: DisclosedEvent | None
    """None when the partner has erased it or does not disclose it."""
    keys: tuple[NoteKey, ...]


class ReceiptProver:
    """Holds partners to their receipts."""

    def __init__(
        self,
        *,
        directory: PartnerDirectory,
        store: Store,
        codec: Codec,
        clock: Clock,
        carrier: Carrier,
        identity: Callable[[], LinkIdentity],
        keeper: LogKeeper,
    ) -> None:
        self._directory = directory
        self._store = store
        self._codec = codec
        self._clock = clock
        self._carrier = carrier
        self._identity = identity
        self._keeper = keeper

    async def prove(self, partner: PartnerId, message_id: MessageId, *, actor: str) -> ProvedReceipt:
        """Return the step that the partner's newest receipt for a message of ours names.

        Raises:
            PartnerUnknown, PartnerFrozen: Nothing is exchanged with it.
            NotFound: There is no receipt of it that names a step.
            PartnerUnreachable: It does not answer, or says that it has no such step.
            ProofRejected, MessageMalformed, MessageTooLarge: What it shows does not hold. Its receipt does, so one of
                its two statements is false; the attempt is recorded.
        """
        card = self._directory.usable(partner)
        receipt = await self._receipt(partner, message_id)
        shown = await self._carrier.prove_receipt(self._identity(), card, receipt.log_leaf, message_id)
        reason = ProofRejected.reason
        try:
            proved = await self._verified(partner, message_id, receipt, shown)
            reason = ""
        finally:
            noted = step(
                EventType.LOG_PROVED,
                self._clock.now_ms(),
                actor=actor,
                partner=partner.code,
                subject=message_id.raw,
                digest=receipt.log_leaf,
                reason=reason,
                detail=f"receipt {receipt.outcome.name.lower()}",
            )
            await self._store.write(AppendLog((noted,)))
        return proved

    async def _receipt(self, partner: PartnerId, message_id: MessageId) -> Receipt:
        stored = await self._store.read(FindMessage(sender=self._directory.own, message_id=message_id))
        deliveries = stored.deliveries if stored is not None else ()
        for delivery in deliveries:
            if delivery.partner == partner and delivery.proof is not None:
                receipt = self._codec.decode_receipt(delivery.proof.receipt)
                if receipt.log_leaf:
                    return receipt
        raise NotFound(f"no receipt of '{partner}' for this message names a step of its log")

    async def _verified(
        self, partner: PartnerId, message_id: MessageId, receipt: Receipt, shown: ShownProof
    ) -> ProvedReceipt:
        proof = parse_proof(shown.proof)
        if leaf_hash(shown.leaf) != receipt.log_leaf:
            raise ProofRejected("the leaf shown is not the one that the receipt names")
        origin, keys = self._keeper.theirs.signers(partner, proof.checkpoint, revoked=True)
        proven = verify_proof(proof, shown.leaf, origin=origin, log_keys=keys)
        event = verify_disclosure(shown.leaf, parse_json(shown.disclosure.encode())) if shown.disclosure else None
        if event is not None:
            expected = (STEP_OF.get(receipt.outcome), message_id.raw, self._directory.own.code)
            if (event.type, event.subject, event.partner) != expected:
                raise ProofRejected("the step that the receipt names is about something else")
        # A checkpoint as good as any other that it shows us: it has to fit those.
        await self._keeper.theirs.compare(partner, proof.checkpoint)
        return ProvedReceipt(proven.index, shown, event, keys)
