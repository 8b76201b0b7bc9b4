"""The passphrase that locks a keyring: where it comes from, and how weak it may not be.

It is never an argument or a variable: other users of the machine can read those.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.errors import ConfigInvalid, FieldInvalid
from gateway.installation.private_files import read_bounded, read_private, write_new_private

CREDENTIAL: Final = "concord-passphrase"
"""Name of the systemd credential (LoadCredential=concord-passphrase:PATH)."""
MIN_PASSPHRASE: Final = 12
"""Characters. scrypt slows guessing down a thousandfold, which is worth two characters, not ten."""
MAX_PASSPHRASE_BYTES: Final = 1024
_GENERATED_BYTES: Final = 24
"""192 random bits: as many as an attacker who guesses could not try."""


def find_passphrase(file: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the passphrase from the systemd credential, the file given or CONCORD_PASSPHRASE_FILE, else None.

    Raises:
        ConfigInvalid: The source named cannot be used.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (credential := Path(credentials) / CREDENTIAL).is_file():
        # systemd keeps others out of that directory by other means than the mode.
        return _passphrase(credential, read_bounded(credential, MAX_PASSPHRASE_BYTES))
    named = file or (Path(environ["CONCORD_PASSPHRASE_FILE"]) if environ.get("CONCORD_PASSPHRASE_FILE") else None)
    if named is None:
        return None
    return read_passphrase(named)


def read_passphrase(file: Path) -> str:
    """Return the passphrase in a file that only its owner can read.

    Raises:
        ConfigInvalid: The file cannot be used.
    """
    return _passphrase(file, read_private(file, MAX_PASSPHRASE_BYTES, missing="there is no such passphrase file"))


def check_new_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that is too weak to lock a new keyring.

    Raises:
        FieldInvalid: It is.
    """
    if len(passphrase) < MIN_PASSPHRASE or len(set(passphrase)) < MIN_PASSPHRASE // 2:
        raise FieldInvalid("passphrase", f"must have at least {MIN_PASSPHRASE} characters, not few and repeated")


def generate_passphrase_file(path: Path) -> str:
    """Write a random passphrase to a new file of mode 0600 and return it.

    Raises:
        ConfigInvalid: The file exists or cannot be written.
    """
    passphrase = base64.b32encode(os.urandom(_GENERATED_BYTES)).decode("ascii").rstrip("=").lower()
    write_new_private(path, passphrase.encode() + b"\n")
    return passphrase


def _passphrase(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: the passphrase is not UTF-8") from None
    # Editors end a file with a line break; it is not part of the passphrase.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text or "\x00" in text:
        raise ConfigInvalid(f"{path}: must hold the passphrase and nothing else, in one line")
    return text
