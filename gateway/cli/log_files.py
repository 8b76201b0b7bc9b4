"""The exchange log as files: proofs and static tiles, checked with no gateway and no network."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.failure import ExitCode, Failure
from gateway.errors import LogInconsistent, Rejected
from gateway.translog.check import LogCheck
from gateway.translog.checkpoint import Checkpoint, open_checkpoint
from gateway.translog.disclosure import MAX_JSON_BYTES, parse_json, verify_disclosure
from gateway.translog.note_keys import NoteKey
from gateway.translog.proof import ProvenEntry, parse_proof, verify_proof
from gateway.translog.static import CHECKPOINT_PATH, static_files
from gateway.translog.tiles import MAX_BUNDLE_BYTES, TILE_WIDTH, parse_bundle, tile_path

if TYPE_CHECKING:
    from concord.v1.audit_service_pb2 import GetHeadResponse

    from gateway.cli.admin import AdminClient

ENTRIES: Final = "entries.jsonl"
_HASH_BYTES: Final = 32
_MAX_LINE_BYTES: Final = 4 * MAX_JSON_BYTES
"""A disclosure as a text in JSON: at worst every character escaped."""


def keys_of(texts: Sequence[str]) -> tuple[NoteKey, ...]:
    """Return the keys that verifier keys name: all in the name of one log.

    Raises:
        Failure: One cannot be used.
    """
    try:
        keys = tuple(NoteKey.parse(text.strip()) for text in texts)
    except Rejected as error:
        raise Failure(
            "a verifier key cannot be used",
            why=error.text,
            advice="take it from `concord log head` of the log's gateway, or from its card",
            reason=error.reason,
            code=ExitCode.USAGE,
        ) from None
    if len({key.name for key in keys}) != 1:
        raise Failure(
            "the verifier keys are not those of one log",
            why=", ".join(sorted({key.name for key in keys})) or "none is given",
            advice="give the keys of the log that is checked",
            reason="USAGE",
            code=ExitCode.USAGE,
        )
    return keys


def verify_proof_file(proof: bytes, leaf: bytes, disclosure: str, texts: Sequence[str]) -> ProvenEntry:
    """Return the entry that a proof shows, its disclosure checked too.

    Raises:
        Rejected: It does not hold.
    """
    keys = keys_of(texts)
    proven = verify_proof(parse_proof(proof), leaf, origin=keys[0].name, log_keys=keys)
    if disclosure:
        verify_disclosure(leaf, parse_json(disclosure.encode()))
    return proven


class _Remote:
    """Tiles and entries of a running gateway, and what the entries disclose on the way."""

    def __init__(self, admin: "AdminClient", log: int, shown: Callable[[int, str], None] | None) -> None:
        self._admin = admin
        self._log = log
        self._shown = shown

    def read(self, level: int, number: int, width: int) -> bytes:
        """Return a tile."""
        return self._admin.log_tile(level, number, width, self._log)

    def read_entries(self, number: int, width: int) -> Sequence[bytes]:
        """Return a bundle's leaves."""
        entries = self._admin.log_entries(number * TILE_WIDTH, width, disclose=self._shown is not None, log=self._log)
        if self._shown is not None:
            for entry in entries:
                self._shown(entry.index, entry.disclosure)
        return [entry.leaf for entry in entries]


def write_static_log(
    directory: Path, head: "GetHeadResponse", admin: "AdminClient", *, disclose: bool, tick: Callable[[int], None]
) -> int:
    """Write the log as it is at its newest checkpoint; return how many files.

    Raises:
        LogInconsistent: Tiles, entries and checkpoint do not belong together.
    """
    keys = keys_of(head.verifier_keys)
    named = head.checkpoint.decode()
    signers = [key for key in keys if f" {key.name} " in named]
    checkpoint = open_checkpoint(head.checkpoint, origin=head.origin, log_keys=signers)
    files = 0
    directory.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []

    def shown(index: int, disclosure: str) -> None:
        lines.append(json.dumps({"index": index, "disclosure": disclosure}) + "\n")

    remote = _Remote(admin, head.number, shown if disclose else None)
    for path, content in static_files(checkpoint, remote, remote):
        place = directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        files += 1
        if lines:
            with (directory / ENTRIES).open("a", encoding="utf-8") as file:
                file.writelines(lines)
            lines.clear()
        tick(files)
    return files + int(disclose)


class _Directory:
    """Tiles of an exported log."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size

    def read(self, level: int, number: int, width: int) -> bytes:
        """Return a tile; nothing when there is none that can be read, or one of another length than its name says."""
        whole = min((self._size >> 8 * level) - number * TILE_WIDTH, TILE_WIDTH)
        try:
            data = _read(self._directory / tile_path(level, number, whole), TILE_WIDTH * _HASH_BYTES)
        except (OSError, LogInconsistent):
            return b""
        return data[: width * _HASH_BYTES] if len(data) == whole * _HASH_BYTES else b""


def check_directory(directory: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Compute an exported log anew from its entries.

    Raises:
        Failure: There is no such log, or a key cannot be used.
        Rejected: Its checkpoint is not signed by these keys.
    """
    keys = keys_of(texts)
    try:
        note = _read(directory / CHECKPOINT_PATH, MAX_BUNDLE_BYTES)
    except OSError as error:
        raise _unreadable(directory, error) from None
    tree = open_checkpoint(note, origin=keys[0].name, log_keys=keys)
    problems: list[str] = []
    disclosed = erased = 0
    checking = LogCheck(_Directory(directory, tree.size), [tree.head])
    shown = _Disclosures(directory)
    try:
        for first in range(0, tree.size, TILE_WIDTH):
            leaves = _bundle(directory, first, tree)
            checking.feed(leaves)
            for index, leaf in enumerate(leaves, first):
                text = shown.of(index)
                if text:
                    _check_disclosure(index, leaf, text)
                disclosed += bool(text)
                erased += text == ""
        shown.end(tree.size)
        checking.finish(tree.size, tree.root)
    except LogInconsistent as error:
        problems.append(str(error))
    finally:
        shown.close()
    return {
        "checked": checking.frontier.size,
        "size": tree.size,
        "origin": tree.origin,
        "checkpoints": 1,
        "disclosed": disclosed,
        "erased": erased,
        "sound": not problems,
        "problems": problems,
    }


def _unreadable(path: Path, error: OSError) -> Failure:
    return Failure(
        f"cannot read {path}",
        why=str(error.strerror),
        advice="name a directory that `concord log export` made",
        reason="NOT_FOUND",
        code=ExitCode.USAGE,
    )


def _bundle(directory: Path, first: int, tree: Checkpoint) -> tuple[bytes, ...]:
    width = min(TILE_WIDTH, tree.size - first)
    path = tile_path(None, first // TILE_WIDTH, width)
    try:
        return parse_bundle(_read(directory / path, MAX_BUNDLE_BYTES), width)
    except OSError as error:
        raise LogInconsistent(path, f"cannot be read: {error.strerror}") from None
    except Rejected as error:
        raise LogInconsistent(path, error.text) from None


def _check_disclosure(index: int, leaf: bytes, text: str) -> None:
    try:
        verify_disclosure(leaf, parse_json(text.encode()))
    except Rejected as error:
        raise LogInconsistent(f"entry {index}", error.text) from None


class _Disclosures:
    """What an export discloses, a line for each entry in their order; read as the entries are, never all at once.

    Raises:
        Failure: The file is there and cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        place = directory / ENTRIES
        try:
            self._lines = place.open("rb") if place.exists() else None
        except OSError as error:
            raise _unreadable(place, error) from None

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()

    def of(self, index: int) -> str | None:
        """Return what the next entry discloses, empty when it is erased; None when the export discloses nothing.

        Raises:
            LogInconsistent: The next line is not about this entry, or is not one that an export writes.
        """
        if self._lines is None:
            return None
        line = self._lines.readline(_MAX_LINE_BYTES)
        try:
            data = json.loads(line)
            if line.endswith(b"\n") and data.keys() == {"index", "disclosure"} and data["index"] == index:
                text = data["disclosure"]
                if isinstance(text, str):
                    return text
        except (ValueError, AttributeError, RecursionError):
            pass
        raise LogInconsistent(f"entry {index}", f"line {index + 1} of {ENTRIES} is not what it discloses")

    def end(self, size: int) -> None:
        """Check that nothing follows.

        Raises:
            LogInconsistent: Something does.
        """
        if self._lines is not None and self._lines.read(1):
            raise LogInconsistent(f"entry {size}", f"{ENTRIES} discloses more entries than the log has")


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise LogInconsistent(path.name, "is too large")
    return data
