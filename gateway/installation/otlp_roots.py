"""Authorities under which a collector's certificate must be, from a file: many collectors have one of their own."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from gateway.crypto.certificates import validity_ms
from gateway.errors import CallerUnknown, ConfigInvalid

MAX_BYTES: Final = 262_144
"""A bundle of all public authorities is about as large."""
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def read_roots(path: Path) -> bytes:
    """Return the certificates in a PEM file. All are looked at: what gRPC cannot read it leaves out without a word.

    Raises:
        ConfigInvalid: The file cannot be used.
    """
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigInvalid(f"{path}: is not a plain file")
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: there is no such file of certificates") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigInvalid(f"{path}: larger than {MAX_BYTES} bytes")
    if b"PRIVATE KEY" in data:
        raise ConfigInvalid(f"{path}: holds a private key; certificates are enough")
    found = _CERTIFICATE.findall(data)
    if not found:
        raise ConfigInvalid(f"{path}: holds no certificate in PEM")
    for number, certificate in enumerate(found, 1):
        try:
            validity_ms(certificate)
        except CallerUnknown:
            raise ConfigInvalid(f"{path}: certificate {number} cannot be read") from None
    return b"\n".join(found) + b"\n"
