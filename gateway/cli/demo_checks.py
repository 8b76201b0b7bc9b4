"""What the demo verifies: with the receivers' cards and the evidence alone, not by believing a gateway's word."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import DeliveryState, MessageView

    from gateway.cli.admin import AdminClient
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


def log_is_sound(admin: "AdminClient", card: "VerifiedCard", message_id: bytes) -> bool:
    """Whether a gateway's log holds the message, proved under the log keys of its card, and stands a full check.

    Raises:
        Failure: The gateway does not answer.
    """
    from concord.v1 import audit_service_pb2 as pb

    from gateway.errors import GatewayError
    from gateway.exchange.log_keys import log_keys
    from gateway.translog.disclosure import parse_json, verify_disclosure
    from gateway.translog.proof import parse_proof, verify_proof

    proved = admin.log_prove(pb.ProveEntryRequest(message_id=message_id))
    origin = admin.log_head().origin
    keys = log_keys(origin, card.card.keys)
    try:
        verify_proof(parse_proof(proved.proof), proved.entry.leaf, origin=origin, log_keys=keys)
        verify_disclosure(proved.entry.leaf, parse_json(proved.entry.disclosure.encode()))
    except GatewayError:
        return False
    reports = list(admin.log_check())
    if not reports:
        return False
    last = reports[-1]
    return last.done and last.sound and last.checked == last.size > proved.entry.index


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
    "logs_sound": "every log proves its entry of the alert, and is sound from end to end",
    "acknowledged": "the recipients' systems have taken it over, signed",
    "updated": "on all three sides the update has taken the place of the first alert",
    "cancelled": "on all three sides the cancellation has ended the update",
}
