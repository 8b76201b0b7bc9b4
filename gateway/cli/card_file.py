"""Cards as files: text that survives mail, chat and a USB stick.

    -----BEGIN CONCORD CARD-----
    partner: th
    sequence: 1
    fingerprint: ...

    base64 of a SignedCard, 64 characters a line
    -----END CONCORD CARD-----

The lines above the blank one are for people and are ignored on reading: they are not signed, and whoever changes them
changes nothing. The rest is read strictly, with one encoding for one content, so that two files are equal or differ.
"""

import base64
import binascii
from typing import TYPE_CHECKING, Final

from gateway.cli.call import Call
from gateway.errors import FieldInvalid, MessageTooLarge

if TYPE_CHECKING:
    from concord.v1.partner_pb2 import SignedCard

BEGIN: Final = "-----BEGIN CONCORD CARD-----"
END: Final = "-----END CONCORD CARD-----"
MAX_FILE_BYTES: Final = 128 * 1024
"""partner.proto takes 64 KiB of card; base64 adds a third, signatures and the frame little."""
_LINE: Final = 64
_MAX_HEADERS: Final = 16
_MAX_HEADER_LENGTH: Final = 200


def format_card_file(signed_card: bytes, *, partner: str, sequence: int, fingerprint: str) -> str:
    """Return the file for the bytes of a SignedCard."""
    text = base64.b64encode(signed_card).decode("ascii")
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    head = [f"partner: {partner}", f"sequence: {sequence}", f"fingerprint: {fingerprint}"]
    return "\n".join([BEGIN, *head, "", *lines, END, ""])


def parse_card_file(data: bytes) -> bytes:
    """Return the bytes of the SignedCard in a file. Nothing about them is verified.

    Raises:
        MessageTooLarge: More than MAX_FILE_BYTES.
        FieldInvalid: Not a card file, or damaged on the way.
    """
    if len(data) > MAX_FILE_BYTES:
        raise MessageTooLarge("the card file", len(data), MAX_FILE_BYTES)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise FieldInvalid(
            "card", "the file is not plain ASCII text; ask for the file itself, not a copy of its picture"
        ) from None
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    if lines[0] != BEGIN:
        raise FieldInvalid("card", f"the file does not begin with {BEGIN}")
    if lines[-1] != END or len(lines) < 4:
        raise FieldInvalid("card", f"the file does not end with {END}: it was cut short")
    if lines.count(BEGIN) > 1 or lines.count(END) > 1:
        raise FieldInvalid("card", "the file holds more than one card")
    body = lines[1:-1]
    if "" not in body:
        raise FieldInvalid("card", "there is no blank line between the words and the card")
    blank = body.index("")
    if blank > _MAX_HEADERS or any(len(line) > _MAX_HEADER_LENGTH or ": " not in line for line in body[:blank]):
        raise FieldInvalid("card", "the lines before the blank one are not 'name: value'")
    rows = body[blank + 1 :]
    if not rows or any(len(row) != _LINE for row in rows[:-1]) or not 0 < len(rows[-1]) <= _LINE:
        raise FieldInvalid("card", "lines are missing or were broken on the way")
    encoded = "".join(rows)
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise FieldInvalid("card", "has characters that are not base64") from None
    if base64.b64encode(decoded).decode("ascii") != encoded:
        # Bits that base64 leaves over could hide a second spelling of the same card.
        raise FieldInvalid("card", "is not written the one way a card is written")
    return decoded


def show_card(call: Call, signed: "SignedCard", fingerprint: str) -> None:
    """Print an own card as a file; what to do with it goes to stderr, so that stdout can be redirected."""
    from concord.v1.partner_pb2 import Card

    card = Card.FromString(signed.card)
    text = format_card_file(
        signed.SerializeToString(), partner=card.partner, sequence=card.sequence, fingerprint=fingerprint
    )
    call.output.record(
        {
            "partner": card.partner,
            "sequence": card.sequence,
            "fingerprint": fingerprint,
            "endpoints": list(card.endpoints),
            "card": text,
        }
    )
    if not call.output.as_json:
        call.output.text(text.rstrip("\n"))
        call.output.note(f"Read this to the partner by voice: {fingerprint}")
