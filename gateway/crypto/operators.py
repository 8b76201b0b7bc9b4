"""An operator's key: signs which policy is to count, and is kept by that person, under a passphrase of their own."""

import json
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import pyrage

from gateway.crypto.held_keys import from_text, to_text
from gateway.crypto.keys import SignKey
from gateway.errors import ConfigInvalid, GatewayError, PassphraseWrong

_FORMAT: Final = "concord-operator-key"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """One operator's key."""

    name: str
    key: SignKey

    def __reduce__(self) -> NoReturn:
        raise TypeError("an operator's key is stored locked, never pickled")

    @classmethod
    def generate(cls, name: str) -> Self:
        """Return a fresh key."""
        return cls(name, SignKey.generate())

    @property
    def public(self) -> bytes:
        """What the home names."""
        return self.key.verify_key.public

    def lock(self, passphrase: str) -> bytes:
        """Return the key as an age file under a passphrase (scrypt: takes about a second)."""
        secret = to_text(self.key.export_secret())
        data = {"format": _FORMAT, "version": _VERSION, "name": self.name, "secret": secret}
        return bytes(pyrage.passphrase.encrypt(json.dumps(data, sort_keys=True).encode(), passphrase))

    @classmethod
    def unlock(cls, data: bytes, passphrase: str) -> Self:
        """Return the key from an age file.

        Raises:
            PassphraseWrong: It does not open with this passphrase.
            ConfigInvalid: What is in it is not an operator's key.
        """
        try:
            plain = pyrage.passphrase.decrypt(data, passphrase)
        except pyrage.DecryptError:
            raise PassphraseWrong("the operator's key does not open with this passphrase") from None
        try:
            entry = json.loads(plain)
            if entry["format"] != _FORMAT or entry["version"] != _VERSION:
                raise ConfigInvalid("not an operator's key of a version known here")
            return cls(str(entry["name"]), SignKey(from_text(entry["secret"])))
        except (ValueError, KeyError, TypeError, AttributeError, GatewayError) as error:
            raise ConfigInvalid(f"the operator's key cannot be read ({type(error).__name__})") from None
