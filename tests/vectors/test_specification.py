"""The example of the specification is a vector, and its limits and labels are those of the code."""

import json
import re
from pathlib import Path

from gateway.crypto import framing
from gateway.crypto.cards import FINGERPRINT_DIGITS
from gateway.crypto.merkle import MAX_LEAVES
from gateway.crypto.receipts import MAX_RECEIPT_BYTES, MAX_RECEIPTS
from gateway.crypto.suite1 import MAX_BODY_BYTES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reference/envelope.md").read_text()
FLAT = " ".join(TEXT.split())


def test_the_example_is_the_vector():
    vector = json.loads((Path(__file__).parent / "envelope/ok_single.json").read_text())
    shown = dict(re.findall(r"^(\w+) +([0-9a-f]{8,})\b", TEXT, re.MULTILINE))
    assert shown == vector["opened"]
    assert len(vector["envelope"]["ciphertext"]) == 2 * 80


def test_every_label_is_specified():
    labels = {value for name, value in vars(framing).items() if name.isupper() and isinstance(value, str)}
    # At rest, and what officers approve, are a gateway's own affair: nothing under those labels is ever exchanged. The
    # log has a page of its own.
    own = {framing.AT_REST, framing.RELEASE}
    assert set(re.findall(r'"(concord/[a-z-]+/v1)"', TEXT)) == labels - {*own, framing.LOG_FACET}
    log = (ROOT / "docs/reference/log-format.md").read_text()
    assert set(re.findall(r'F\("(concord/[a-z-]+/v1)"', log)) == {framing.LOG_FACET}


def test_the_limits_are_those_of_the_code():
    for number in (MAX_BODY_BYTES, MAX_LEAVES):
        assert f"{number:,}" in FLAT
    assert f"at most {MAX_RECEIPTS} together, at most {MAX_RECEIPT_BYTES} bytes each" in FLAT
    assert FINGERPRINT_DIGITS == 8 * 5
