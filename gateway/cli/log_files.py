"""The exchange log as files: proofs and static tiles, checked with no gateway and no network."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.failure import ExitCode, Failure
from gateway.errors import LogProofInvalid
from gateway.translog.check import Recomputed
from gateway.translog.checkpoint import VerifiedTree, open_checkpoint
from gateway.translog.entry import Disclosure, verify_disclosure
from gateway.translog.merkle import TILE_HASHES
from gateway.translog.note import NoteKey, parse_vkey
from gateway.translog.proof import parse_proof, verify_proof
from gateway.translog.tiles import bundle, parse_bundle, tile_path, tiles_of

if TYPE_CHECKING:
    from concord.v1.audit_service_pb2 import GetHeadResponse

    from gateway.cli.admin import AdminClient
    from gateway.cli.output import Ticker

ENTRIES: Final = "entries.jsonl"
MAX_BUNDLE_BYTES: Final = TILE_HASHES * (2 + 65_535)


def keys_of(texts: list[str]) -> tuple[NoteKey, ...]:
    """Return the keys that verifier keys name.

    Raises:
        Failure: One is not one.
    """
    try:
        return tuple(parse_vkey(text) for text in texts)
    except LogProofInvalid as error:
        raise Failure(
            "a verifier key cannot be used",
            why=error.text,
            advice="take it from `concord log head` of the log's gateway, or from its card",
            reason=error.reason,
            code=ExitCode.USAGE,
        ) from None


def verify_proof_file(proof: bytes, leaf: bytes, disclosure: str, keys: list[str]) -> VerifiedTree:
    """Return the tree in which a leaf is proved to be, its disclosure checked too.

    Raises:
        LogProofInvalid: It is not.
    """
    proved = verify_proof(parse_proof(proof), leaf, keys_of(keys))
    if disclosure:
        verify_disclosure(leaf, Disclosure.from_json(disclosure))
    return proved.tree


def write_static_log(
    directory: Path, head: "GetHeadResponse", admin: "AdminClient", *, disclose: bool, tick: "Ticker"
) -> int:
    """Write checkpoint, tiles and entries of the newest checkpoint; return how many files."""
    size = head.checkpoint_size
    files = 0

    def write(path: str, content: bytes) -> None:
        nonlocal files
        place = directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        files += 1

    directory.mkdir(parents=True, exist_ok=True)
    disclosed = (directory / ENTRIES).open("w", encoding="utf-8") if disclose else None
    try:
        for first in range(0, size, TILE_HASHES):
            width = min(TILE_HASHES, size - first)
            entries = admin.log_entries(first, width, disclose=disclose)
            write(tile_path("entries", first // TILE_HASHES, width), bundle([entry.leaf for entry in entries]))
            if disclosed is not None:
                for entry in entries:
                    disclosed.write(json.dumps({"index": entry.index, "disclosure": entry.disclosure}) + "\n")
            tick(first + width)
    finally:
        if disclosed is not None:
            disclosed.close()
            files += 1
    for level, number, width in tiles_of(size):
        write(tile_path(level, number, width), admin.log_tile(level, number, width))
    # Last: whoever finds a checkpoint finds everything under it.
    write("checkpoint", head.checkpoint)
    return files


def check_directory(directory: Path, keys: list[str]) -> dict[str, Any]:
    """Compute an exported log anew from its entries.

    Raises:
        Failure: It cannot be read, or a key cannot be used.
    """
    problems: list[str] = []
    parsed = keys_of(keys)
    try:
        tree = open_checkpoint((directory / "checkpoint").read_bytes(), parsed)
    except OSError as error:
        raise Failure(
            f"cannot read {directory}",
            why=str(error.strerror),
            advice="name a directory that `concord log export` made",
            reason="NOT_FOUND",
            code=ExitCode.USAGE,
        ) from None
    computed = Recomputed()
    disclosed = _disclosures(directory)
    shown = 0
    while computed.size < tree.size and not problems:
        first = computed.size
        width = min(TILE_HASHES, tree.size - first)
        path = tile_path("entries", first // TILE_HASHES, width)
        try:
            leaves = parse_bundle(_read(directory / path, MAX_BUNDLE_BYTES), width)
        except (OSError, LogProofInvalid) as error:
            problems.append(f"{path}: {error}")
            break
        for index, leaf in enumerate(leaves, first):
            text = disclosed.get(index, "")
            if text:
                shown += 1
                try:
                    verify_disclosure(leaf, Disclosure.from_json(text))
                except LogProofInvalid as error:
                    problems.append(f"entry {index}: {error.text}")
        for (level, number), hashes in computed.add(leaves).items():
            if len(hashes) == 32 * TILE_HASHES or computed.size == tree.size:
                place = tile_path(level, number, len(hashes) // 32)
                try:
                    same = _read(directory / place, len(hashes)) == hashes
                except (OSError, LogProofInvalid):
                    same = False
                if not same:
                    problems.append(f"{place} is not the tile that the entries make")
    if not problems and computed.root != tree.root:
        problems.append("the entries make another tree than the checkpoint states")
    return {
        "checked": computed.size,
        "size": tree.size,
        "origin": tree.origin,
        "checkpoints": 1,
        "disclosed": shown,
        "erased": sum(not text for text in disclosed.values()),
        "sound": not problems,
        "problems": problems,
    }


def _disclosures(directory: Path) -> dict[int, str]:
    place = directory / ENTRIES
    if not place.exists():
        return {}
    found: dict[int, str] = {}
    with place.open(encoding="utf-8") as lines:
        for line in lines:
            data = json.loads(line)
            found[int(data["index"])] = str(data["disclosure"])
    return found


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise LogProofInvalid(f"{path.name} is too large")
    return data
