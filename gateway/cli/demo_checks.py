"""What the demo verifies: with the receivers' cards and the evidence alone, not by believing a gateway's word."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import DeliveryState, MessageView

    from gateway.crypto.cards import VerifiedCard
    from gateway.model.envelope import Receipt

GRACE_MS: Final = 3_600_000
LANGUAGES: Final = ("zh", "en", "th", "lo")


def verified_receipt(delivery: "DeliveryState", card: "VerifiedCard", now_ms: int) -> "Receipt":
    """Return what the recipient has signed.

    Raises:
        GatewayError: It is not the recipient's signature, or not over this.
    """
    from gateway.crypto.cards import verify_key_at
    from gateway.crypto.receipts import verify_proof
    from gateway.model.partner import KeyPurpose
    from gateway.rpc.convert import WireCodec
    from gateway.rpc.convert.envelope import receipt_proof_from_proto

    proof = receipt_proof_from_proto(delivery.proof)
    key = verify_key_at(card.card, proof.signing_key_id, KeyPurpose.RECEIPT, now_ms, GRACE_MS)
    return verify_proof(proof, key, WireCodec())


def run_checks(
    *,
    original: bytes,
    commitment: bytes,
    sent: "MessageView",
    seen: Mapping[str, "MessageView"],
    cards: Mapping[str, "VerifiedCard"],
    now_ms: int,
) -> dict[str, bool]:
    """Return each check with whether it holds."""
    from gateway.errors import GatewayError
    from gateway.model.envelope import Outcome

    receipts = {}
    for delivery in sent.deliveries:
        try:
            receipts[delivery.partner] = verified_receipt(delivery, cards[delivery.partner], now_ms)
        except (GatewayError, KeyError):
            continue
    stored = {Outcome.RECEIVED, Outcome.ACKNOWLEDGED_BY_SYSTEM}
    digests = {receipt.envelope_digest for receipt in receipts.values()}
    languages = [{info.language.split("-")[0] for info in view.body.alert.infos} for view in seen.values()]
    return {
        "receipts_verified": bool(receipts)
        and set(receipts) == set(seen)
        and all(r.outcome in stored for r in receipts.values()),
        # One sealing served both, so both must speak of one digest.
        "receipts_name_one_envelope": len(digests) == 1,
        "bodies_identical": bool(seen)
        and all(view.content_commitment == commitment == sent.content_commitment for view in seen.values()),
        "originals_identical": bool(seen)
        and all(view.body.alert.provenance.original == original for view in seen.values()),
        "all_languages_arrived": bool(seen) and all(set(LANGUAGES) <= found for found in languages),
        "marked_exercise": bool(seen) and all(view.mode == sent.mode == 2 for view in seen.values()),
    }


CHECK_WORDS: Final = {
    "receipts_verified": "every receipt verifies under the receipt key of its recipient's card",
    "receipts_name_one_envelope": "all receipts name the same envelope",
    "bodies_identical": "sender and recipients hold the same content commitment",
    "originals_identical": "the CAP file arrived byte for byte",
    "all_languages_arrived": f"every recipient has all languages ({' '.join(LANGUAGES)})",
    "marked_exercise": "every copy is marked EXERCISE",
    "acknowledged": "the recipients' systems have taken it over, signed",
    "updated": "on all three sides the update has taken the place of the first alert",
    "cancelled": "on all three sides the cancellation has ended the update",
    "logs_sound": "every exchange log is whole: leaves, tree and signed checkpoints agree",
}
