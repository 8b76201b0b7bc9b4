"""docs/reference/log-format.md says what the code does, and its example can be computed from it alone."""

import hashlib
import json
import re
from pathlib import Path

from gateway.translog import note, proof, tree_head
from gateway.translog.disclosure import MAX_JSON_BYTES, parse_json, verify_disclosure
from gateway.translog.entry import EventType

TEXT = (Path(__file__).parents[3] / "docs/reference/log-format.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"## Example\n\n```\n(.*?)```", TEXT, re.DOTALL)[1]
SALTS = [bytes.fromhex(salt) for salt in re.findall(r"\b[0-9a-f]{32}\b", EXAMPLE)]
DIGESTS = {
    name: bytes.fromhex(value) for name, value in re.findall(r"^(\w[\w ]*?) +([0-9a-f]{64})$", EXAMPLE, re.MULTILINE)
}


def frame(*fields):
    """F, as the page defines it."""
    return len(fields).to_bytes(4, "big") + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def example_leaf():
    return b"concord/log-leaf/v1\n" + b"".join(DIGESTS[facet] for facet in ("what", "when", "who", "whom", "which"))


def test_the_example_follows_from_the_page():
    fields = {
        "what": [(5).to_bytes(2, "big"), b"refused", b"KEY_RETIRED", "ข้อความ".encode()],
        "when": [(1795651200123).to_bytes(8, "big")],
        "who": [b"partner:cn"],
        "whom": [b"cn"],
        "which": [b"\x01" * 16, b"\x02" * 16, b"\x03" * 32],
    }
    assert len(SALTS) == 5
    for (facet, values), salt in zip(fields.items(), SALTS, strict=True):
        assert hashlib.sha256(frame(b"concord/log-facet/v1", facet.encode(), salt, *values)).digest() == DIGESTS[facet]
    assert hashlib.sha256(b"\0" + example_leaf()).digest() == DIGESTS["leaf hash"]


def test_the_disclosure_shown_verifies_against_the_leaf_shown():
    shown = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1]
    assert json.loads(shown)["format"] == "concord/log-disclosure/v1"
    event = verify_disclosure(example_leaf(), parse_json(shown.encode()))
    assert (event.type, event.actor, event.partner) == (EventType.MESSAGE_REFUSED, "partner:cn", None)


def test_every_type_is_listed_with_its_number():
    assert {name: int(number) for number, name in re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|$", TEXT, re.MULTILINE)} == {
        kind.name: kind.value for kind in EventType
    }


def test_limits_are_those_of_the_code():
    kib = 1024
    assert f"{note.MAX_NOTE_BYTES // kib} KiB, {note.MAX_SIGNATURES} signatures" in TEXT
    assert f"at most {note.MAX_SIGNATURE_BYTES} bytes" in TEXT
    assert f"{tree_head.MAX_TEXT_BYTES // kib} KiB, {tree_head.MAX_EXTENSIONS} extension lines" in TEXT
    assert f"{tree_head.MAX_NAME_BYTES} bytes; no space" in TEXT
    assert f"at most {proof.MAX_EXTRA_BYTES // kib} KiB" in TEXT
    assert f"at most {MAX_JSON_BYTES // kib} KiB" in TEXT
