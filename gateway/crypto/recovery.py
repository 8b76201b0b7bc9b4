"""The recovery key: kept off line under a passphrase of its own, for the day the identity key is lost or stolen.

It signs one card and goes back to where it was kept. Reference: DESIGN sections 5 and 6.
"""

import json
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import pyrage

from gateway.crypto.held_keys import from_text, to_text
from gateway.crypto.keys import SignKey
from gateway.errors import ConfigInvalid, GatewayError, PassphraseWrong
from gateway.ids import PartnerId

_FORMAT: Final = "concord-recovery-key"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """One partner's recovery key."""

    partner: PartnerId
    key: SignKey

    def __reduce__(self) -> NoReturn:
        raise TypeError("a recovery key is stored locked, never pickled")

    @classmethod
    def generate(cls, partner: PartnerId) -> Self:
        """Return a fresh key."""
        return cls(partner, SignKey.generate())

    @property
    def public(self) -> bytes:
        """What the partner's card names."""
        return self.key.verify_key.public

    def lock(self, passphrase: str) -> bytes:
        """Return the key as an age file under a passphrase (scrypt: takes about a second)."""
        return bytes(pyrage.passphrase.encrypt(self.to_bytes(), passphrase))

    def to_bytes(self) -> bytes:
        """Return the key as JSON with its secret in it. Never stored as it is: see lock."""
        data = {
            "format": _FORMAT,
            "version": _VERSION,
            "partner": self.partner.code,
            "secret": to_text(self.key.export_secret()),
        }
        return json.dumps(data, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the key.

        Raises:
            ConfigInvalid: Not a recovery key, or of a version not known here.
        """
        try:
            entry = json.loads(data)
            if entry["format"] != _FORMAT or entry["version"] != _VERSION:
                raise ConfigInvalid("not a recovery key of a version known here")
            return cls(PartnerId.parse(entry["partner"]), SignKey(from_text(entry["secret"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, GatewayError) as error:
            raise ConfigInvalid(f"the recovery key cannot be read ({type(error).__name__})") from None

    @classmethod
    def unlock(cls, data: bytes, passphrase: str) -> Self:
        """Return the key from an age file.

        Raises:
            PassphraseWrong: It does not open with this passphrase.
            ConfigInvalid: What is in it is not a recovery key.
        """
        try:
            plain = pyrage.passphrase.decrypt(data, passphrase)
        except pyrage.DecryptError:
            raise PassphraseWrong("the recovery key does not open with this passphrase") from None
        return cls.from_bytes(plain)
