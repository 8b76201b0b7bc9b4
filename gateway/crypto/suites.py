"""Which suites there are. A suite is one file; what is not listed here is refused."""

from collections.abc import Mapping
from typing import Final, Protocol

from gateway.crypto import suite1
from gateway.errors import SuiteUnknown
from gateway.ids import BatchId, EnvelopeId, PartnerId
from gateway.model.header import SUITE_1

MAX_CIPHERTEXT_BYTES: Final = 2 * 1024 * 1024
"""envelope.proto: Envelope.ciphertext."""


class Suite(Protocol):
    """What opening needs of a suite; see suite1.py for what each function is."""

    def open_content(
        self, content_key: bytes, ciphertext: bytes, header: bytes, *, key_committed: bytes, content_committed: bytes
    ) -> tuple[bytes, bytes]: ...
    def encapsulation_info(self, sender: PartnerId, recipient: PartnerId, batch_id: BatchId) -> bytes: ...
    def extract(self, batch_secret: bytes) -> bytes: ...
    def wrap_info(self, envelope_id: EnvelopeId, header_digest: bytes) -> bytes: ...
    def unwrap_key(self, pseudo_random_key: bytes, info: bytes, wrapped: bytes) -> bytes: ...


_SUITES: Final[Mapping[int, Suite]] = {SUITE_1: suite1}


def suite_of(number: int) -> Suite:
    """Return the suite with this number.

    Raises:
        SuiteUnknown: It is not one of ours.
    """
    suite = _SUITES.get(number)
    if suite is None:
        raise SuiteUnknown("the envelope's cipher suite is not known here")
    return suite
