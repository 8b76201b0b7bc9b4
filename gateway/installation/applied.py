"""Where the policy that counts is kept, and what makes another one count.

    CONCORD_HOME/
      operators.toml         who may apply a policy: names and public keys
      policy/applied.jsonl   every policy that has counted, with the words of two operators; the last one counts
      policy/pending.json    one that a first operator has applied

Keys lie with the operators, never in the home. A home that names no operators runs with its files as they are, except
in mode actual, where nothing counts until two operators have applied it.
"""

import base64
import binascii
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.config import Config
from gateway.crypto.operators import OperatorKey
from gateway.errors import ConfigInvalid, FieldInvalid, PolicyNotApplied, StateConflict
from gateway.ids import PartnerId
from gateway.installation.passphrases import check_new_passphrase
from gateway.installation.private_files import (
    read_bounded,
    read_private,
    sync_directory,
    write_new_private,
    write_private,
)
from gateway.installation.recovery import check_outside
from gateway.model.header import Mode
from gateway.policy.applied import (
    SIGNERS,
    Entry,
    Operator,
    Policy,
    Signed,
    check_operators,
    differences,
    sign,
    verified_signers,
    verify_chain,
)
from gateway.policy.cedar import safeguard_text
from gateway.profiles import MAX_FILE_BYTES, MAX_FILES

OPERATORS_FILE: Final = "operators.toml"
FOLDER: Final = "policy"
RULES: Final = ("blocks.cedar", "holds.cedar", "warnings.cedar", "schema.cedarschema")
MAX_OPERATORS: Final = 32
MAX_CHAIN_BYTES: Final = 16 << 20
"""A thousand policies of a hundred partners."""
MAX_KEY_BYTES: Final = 64 * 1024
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """What counts in a home, and what would."""

    now: Policy
    """As the files are."""
    applied: Entry | None
    pending: Entry | None
    """For the files as they are, with one operator's word."""

    @property
    def drift(self) -> tuple[str, ...]:
        """How the files differ from what was applied."""
        return () if self.applied is None else differences(self.applied.policy, self.now)


def check_applied(home: Path, config: Config) -> Entry | None:
    """Return the entry that counts, for a start; None for a home that names no operators and need not.

    Raises:
        PolicyNotApplied: Files are not those that two operators have applied.
        ConfigInvalid: A file cannot be read.
    """
    named = (home / OPERATORS_FILE).exists() or _chain_file(home).exists()
    if not named:
        if config.mode is Mode.ACTUAL:
            raise PolicyNotApplied("this home is to run in mode actual and names no operators")
        return None
    state = read_state(home, config)
    if state.applied is None:
        raise PolicyNotApplied("no policy has been applied by two operators")
    if state.drift:
        raise PolicyNotApplied(f"not what two operators have applied: {'; '.join(state.drift[:5])}")
    return state.applied


def read_state(home: Path, config: Config) -> PolicyState:
    """Return what counts in a home, and what would.

    Raises:
        PolicyNotApplied: The record does not hang together.
        ConfigInvalid: A file cannot be read.
    """
    now = Policy(partner=config.partner, files=_files(config), operators=read_operators(home))
    applied = verify_chain(_chain(home, config.partner), config.partner)
    pending = None
    if _pending_file(home).exists():
        found = _entry(_loads(_pending_file(home)), config.partner, _pending_file(home))
        previous = b"" if applied is None else applied.policy.digest
        if found.policy == now and found.previous == previous:
            pending = found
    return PolicyState(now=now, applied=applied, pending=pending)


def apply(home: Path, config: Config, key: OperatorKey, now_ms: int) -> PolicyState:
    """Give an operator's word for the files as they are; with the second word they count from the next start.

    Raises:
        StateConflict: They count already, or this operator has given their word.
        PolicyNotApplied: The key is no operator's, or the record does not hang together.
        ConfigInvalid: A file cannot be read.
    """
    state = read_state(home, config)
    check_operators(state.now.operators)
    voters = state.now.operators if state.applied is None else state.applied.policy.operators
    if state.applied is not None and state.applied.policy == state.now:
        raise StateConflict("the files as they are have been applied; there is nothing to do")
    own = check_operators(voters).get(key.public)
    if own is None or own.name != key.name:
        raise PolicyNotApplied(f"'{key.name}' is not among the operators of the policy that counts")
    previous = b"" if state.applied is None else state.applied.policy.digest
    words: tuple[Signed, ...] = ()
    if state.pending is not None:
        # What somebody else wrote there is looked at before it is added to.
        verified_signers(state.pending, voters)
        words = state.pending.signed
    if any(word.operator == own for word in words):
        raise StateConflict(f"'{own.name}' has applied it; it waits for another operator")
    entry = Entry(policy=state.now, previous=previous, signed=(*words, sign(key, state.now, previous, now_ms)))
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    if len(verified_signers(entry, voters)) < SIGNERS:
        write_private(_pending_file(home), _dumps(entry))
        return PolicyState(now=state.now, applied=state.applied, pending=entry)
    chain = _chain_file(home)
    before = read_bounded(chain, MAX_CHAIN_BYTES) if chain.exists() else b""
    # Whole or not at all: if we die before, the pending word stands; after, it is of the past and no longer counts.
    write_private(chain, before + _dumps(entry))
    sync_directory(folder)
    _pending_file(home).unlink(missing_ok=True)
    return PolicyState(now=state.now, applied=entry, pending=None)


# --- operators -------------------------------------------------------------------------------------------------------


def read_operators(home: Path) -> tuple[Operator, ...]:
    """Return the operators that a home names.

    Raises:
        ConfigInvalid: The file is not as it should be.
    """
    path = home / OPERATORS_FILE
    if not path.exists():
        return ()
    try:
        table = tomllib.loads(read_bounded(path, MAX_KEY_BYTES).decode())
        entries = table.pop("operator", [])
        if table or not isinstance(entries, list) or len(entries) > MAX_OPERATORS:
            raise ConfigInvalid(f"{path}: holds something else than [[operator]]")
        found = tuple(_operator(item) for item in entries)
    except (ValueError, TypeError, KeyError, RecursionError, FieldInvalid) as error:
        raise ConfigInvalid(f"{path}: is not a list of operators: {str(error)[:200]}") from error
    if len({item.name for item in found}) != len(found) or len({item.public for item in found}) != len(found):
        raise ConfigInvalid(f"{path}: names an operator or a key twice")
    return found


def name_operator(home: Path, operator: Operator) -> None:
    """Add an operator to those that a home names; it counts with the next policy that is applied.

    Raises:
        StateConflict: The name or the key is there.
        ConfigInvalid: The file is not as it should be.
    """
    named = read_operators(home)
    if any(operator.name == item.name or operator.public == item.public for item in named):
        raise StateConflict(f"an operator '{operator.name}', or one with this key, is named already")
    lines = [f'[[operator]]\nname = "{item.name}"\nkey = "{_text(item.public)}"\n' for item in (*named, operator)]
    write_private(home / OPERATORS_FILE, "\n".join(lines).encode())


def create_operator(path: Path, home: Path, name: str, passphrase: str) -> Operator:
    """Make an operator's key, write it locked to a new file of mode 0600, and name the operator in the home.

    Raises:
        FieldInvalid: The place is inside the home, or name or passphrase cannot be used.
        ConfigInvalid: The file exists or cannot be written.
        StateConflict: The name is there.
    """
    check_name(name)
    check_new_passphrase(passphrase)
    check_outside(path, home, "key_file")
    key = OperatorKey.generate(name)
    write_new_private(path, key.lock(passphrase))
    sync_directory(path.parent)
    try:
        name_operator(home, Operator(name, key.public))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Operator(name, key.public)


def open_operator(path: Path, passphrase: str) -> OperatorKey:
    """Unlock an operator's key.

    Raises:
        ConfigInvalid: Missing, open to others, or no operator's key.
        PassphraseWrong: It does not open with this passphrase.
    """
    return OperatorKey.unlock(read_private(path, MAX_KEY_BYTES, missing="there is no such operator's key"), passphrase)


def check_name(name: str) -> None:
    """Refuse a name that would be misread.

    Raises:
        FieldInvalid: Not 1 to 64 letters, digits, dots and hyphens of ASCII, lower case.
    """
    letters = set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    if not 1 <= len(name) <= _MAX_NAME or not set(name) <= letters:
        raise FieldInvalid("name", f"must be 1 to {_MAX_NAME} lower-case letters, digits, dots and hyphens")


# --- files -----------------------------------------------------------------------------------------------------------


def _chain_file(home: Path) -> Path:
    return home / FOLDER / "applied.jsonl"


def _pending_file(home: Path) -> Path:
    return home / FOLDER / "pending.json"


def _files(config: Config) -> tuple[tuple[str, bytes], ...]:
    directory = config.partners_dir
    if directory is None:
        raise ConfigInvalid("partners_dir is not set")
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise ConfigInvalid(f"{directory}: cannot be listed ({error.strerror})") from error
    if len(paths) > MAX_FILES:
        raise ConfigInvalid(f"{directory}: has more than {MAX_FILES} profiles")
    contents = [(f"partners/{path.name}", read_bounded(path, MAX_FILE_BYTES)) for path in paths]
    contents += [(f"safeguards/{name}", safeguard_text(name).encode()) for name in RULES]
    return tuple(sorted((name, hashlib.sha256(content).digest()) for name, content in contents))


def _chain(home: Path, own: PartnerId) -> tuple[Entry, ...]:
    path = _chain_file(home)
    if not path.exists():
        return ()
    lines = read_bounded(path, MAX_CHAIN_BYTES).splitlines()
    return tuple(_entry(_parsed(line, path), own, path) for line in lines)


def _loads(path: Path) -> Any:
    return _parsed(read_bounded(path, MAX_CHAIN_BYTES), path)


def _parsed(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PolicyNotApplied(f"{path.name} cannot be read") from error


def _entry(table: Any, own: PartnerId, path: Path) -> Entry:
    try:
        if PartnerId.parse(table["partner"]) != own:
            raise PolicyNotApplied(f"{path.name} is another gateway's")
        policy = Policy(
            partner=own,
            files=tuple((str(name), bytes.fromhex(digest)) for name, digest in sorted(table["files"].items())),
            operators=tuple(_operator(item) for item in table["operators"]),
        )
        signed = tuple(
            Signed(_operator(item), _time(item["time_ms"]), _bytes(item["signature"])) for item in table["signed"]
        )
        return Entry(policy=policy, previous=bytes.fromhex(table["previous"]), signed=signed)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, FieldInvalid) as error:
        raise PolicyNotApplied(f"{path.name} cannot be read") from error


def _dumps(entry: Entry) -> bytes:
    table = {
        "partner": entry.policy.partner.code,
        "files": {name: digest.hex() for name, digest in entry.policy.files},
        "operators": [_told(item) for item in entry.policy.operators],
        "previous": entry.previous.hex(),
        "signed": [
            _told(word.operator) | {"time_ms": word.time_ms, "signature": _text(word.signature)}
            for word in entry.signed
        ],
    }
    return json.dumps(table, separators=(",", ":")).encode() + b"\n"


def _told(operator: Operator) -> dict[str, Any]:
    return {"name": operator.name, "key": _text(operator.public)}


def _operator(table: Any) -> Operator:
    name, public = table["name"], _bytes(table["key"])
    check_name(name)
    if len(public) != 32:
        raise FieldInvalid("key", "must be 32 bytes")
    return Operator(name, public)


def _time(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("not an instant")
    return value


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
