"""The gateway's own keys as the use cases see them, replaced as a whole when keys rotate."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.crypto.envelope import EnvelopeOpener
from gateway.crypto.keys import KeyEncryptionKey, OpenKey, SignKey
from gateway.crypto.mldsa import MLDSASignKey
from gateway.crypto.receipts import sign_receipts
from gateway.ids import PartnerId
from gateway.model.envelope import Envelope, ReceiptProof
from gateway.ports import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """Keys in use now. One key, one purpose."""

    partner: PartnerId
    envelope: SignKey
    receipt: SignKey
    log: SignKey
    log_cosign: MLDSASignKey
    open_keys: Mapping[bytes, OpenKey]
    """By key id; the current one and those whose grace still runs."""
    retired: frozenset[bytes]
    """Ids of encryption keys that are no longer answered for: the sender is told to seal again."""
    key_encryption: KeyEncryptionKey
    revoked: frozenset[bytes] = frozenset()
    """Ids of signing keys of ours that count nowhere any more, whenever they signed."""


class KeyHolder:
    """Gives the current keys and an opener made for them; `replace` swaps both at once."""

    def __init__(self, keys: OwnKeys, codec: Codec) -> None:
        self._codec = codec
        self.replace(keys)

    def replace(self, keys: OwnKeys) -> None:
        """Use other keys from now on."""
        self.current = keys
        self.opener = EnvelopeOpener(keys.partner, keys.open_keys, keys.retired, self._codec)

    def receipt_that_counts(self, proof: ReceiptProof) -> ReceiptProof:
        """Return a receipt of ours under a key that partners believe: signed again when its key was revoked.

        The statement stays. Partners end a link on a receipt that does not verify, so one under a revoked key would
        end it each time.
        """
        keys = self.current
        if proof.signing_key_id not in keys.revoked:
            return proof
        receipt = self._codec.decode_receipt(proof.receipt)
        return sign_receipts([receipt], issuer=keys.partner, sign_key=keys.receipt, codec=self._codec)[1][0]

    def envelope_counts(self, envelope: Envelope) -> bool:
        """Tell whether partners believe the key that signed an envelope of ours."""
        revoked = self.current.revoked
        return not revoked or self._codec.decode_header(envelope.header).signing_key_id not in revoked
