"""Headers for a collector, from a file of their own: they hold secrets, and settings and arguments hold none."""

import re
from pathlib import Path
from typing import Final

from gateway.errors import ConfigInvalid
from gateway.installation.private_files import read_private

MAX_BYTES: Final = 8192
MAX_HEADERS: Final = 16
_LINE: Final = re.compile(r"([a-z0-9_.-]{1,64})\s*:\s*([\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?)", re.ASCII)
"""As gRPC takes them: lower-case names, printable ASCII."""


def read_headers(path: Path) -> tuple[tuple[str, str], ...]:
    """Return the headers in a file that only its owner can read: a line `name: value` each.

    Raises:
        ConfigInvalid: The file cannot be used; its content is not quoted.
    """
    data = read_private(path, MAX_BYTES, missing="there is no such file of headers")
    try:
        lines = [line.strip() for line in data.decode("ascii").splitlines()]
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: holds something else than ASCII") from None
    headers = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1].endswith("-bin") or match[1].startswith("grpc-"):
            raise ConfigInvalid(f"{path}:{number}: must be `name: value`, the name in lower case")
        headers.append((match[1], match[2]))
    if len(headers) > MAX_HEADERS:
        raise ConfigInvalid(f"{path}: more than {MAX_HEADERS} headers")
    return tuple(headers)
