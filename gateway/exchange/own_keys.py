"""The gateway's own keys as the use cases see them, replaced as a whole when keys rotate."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.crypto.envelope import EnvelopeOpener
from gateway.crypto.keys import KeyEncryptionKey, OpenKey, SignKey
from gateway.ids import PartnerId
from gateway.ports import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """Keys in use now. One key, one purpose."""

    partner: PartnerId
    envelope: SignKey
    receipt: SignKey
    open_keys: Mapping[bytes, OpenKey]
    """By key id; the current one and those whose grace still runs."""
    retired: frozenset[bytes]
    """Ids of encryption keys that are no longer answered for: the sender is told to seal again."""
    key_encryption: KeyEncryptionKey


class KeyHolder:
    """Gives the current keys and an opener made for them; `replace` swaps both at once."""

    def __init__(self, keys: OwnKeys, codec: Codec) -> None:
        self._codec = codec
        self.replace(keys)

    def replace(self, keys: OwnKeys) -> None:
        """Use other keys from now on."""
        self.current = keys
        self.opener = EnvelopeOpener(keys.partner, keys.open_keys, keys.retired, self._codec)
