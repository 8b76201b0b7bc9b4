"""Gets the passphrase that unlocks a keyring: from systemd, a file, or a person. Never from argv or a variable."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.call import is_interactive
from gateway.cli.failure import Failure, usage

PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File of mode 0600 or 0400 that holds the passphrase "
        "[default: the systemd credential concord-passphrase, else $CONCORD_PASSPHRASE_FILE, else asked for].",
        show_default=False,
    ),
]


RecoveryPassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--recovery-passphrase-file",
        help="File of mode 0600 or 0400 that holds the recovery key's passphrase [default: asked for].",
        show_default=False,
    ),
]


def obtain(file: Path | None, *, twice: bool = False) -> str:
    """Return the passphrase; a person is asked only at a terminal.

    Raises:
        ConfigInvalid: The file is missing, open to others, or empty.
    """
    from gateway.installation.passphrases import check_new_passphrase, find_passphrase

    found = find_passphrase(file)
    if found is None:
        if not is_interactive():
            raise no_passphrase()
        found = _ask("Passphrase of the keyring: ", twice=twice)
    if twice:
        check_new_passphrase(found)
    return found


def obtain_recovery(
    file: Path | None,
    *,
    twice: bool = False,
    of: str = "the recovery key",
    option: str = "--recovery-passphrase-file",
) -> str:
    """Return the passphrase of a key off line: from the file named or a person, never from where the gateway's is.

    Raises:
        ConfigInvalid: The file is missing, open to others, or empty.
    """
    from gateway.installation.passphrases import check_new_passphrase, read_passphrase

    if file is not None:
        found = read_passphrase(file)
    elif is_interactive():
        found = _ask(f"Passphrase of {of}: ", twice=twice)
    else:
        raise usage(
            f"there is no passphrase of {of}",
            why="no file was named, and this is no terminal where it could be asked for",
            advice=f"name a file of mode 0600 with {option}",
            reason="PASSPHRASE_MISSING",
        )
    if twice:
        check_new_passphrase(found)
    return found


def _ask(prompt: str, *, twice: bool) -> str:
    found = getpass.getpass(prompt, sys.stderr)
    if twice and getpass.getpass("The same again: ", sys.stderr) != found:
        raise usage("the two passphrases differ", advice="run the command again")
    return found


def no_passphrase() -> Failure:
    """Return the failure for a set-up in which nobody can be asked."""
    return usage(
        "there is no passphrase",
        why="no systemd credential, no file was named, and this is no terminal where it could be asked for",
        advice="name a file of mode 0600 with --passphrase-file or CONCORD_PASSPHRASE_FILE, "
        "or give systemd LoadCredential=concord-passphrase:PATH",
        reason="PASSPHRASE_MISSING",
    )
