"""concord policy operator, apply and applied: which agreements and rules count, by the word of two operators."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.call import Call, command
from gateway.cli.passphrase import obtain_recovery

if TYPE_CHECKING:
    from gateway.installation.applied import PolicyState

KeyOption = Annotated[Path, typer.Option("--key-file", help="The operator's key, kept outside the home.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--operator-passphrase-file",
        help="File of mode 0600 or 0400 that holds the passphrase of the operator's key [default: asked for].",
        show_default=False,
    ),
]


def obtain_operator(file: Path | None, *, twice: bool = False) -> str:
    """Return the passphrase of an operator's key.

    Raises:
        ConfigInvalid: The file is missing, open to others, or empty.
    """
    return obtain_recovery(file, twice=twice, of="the operator's key", option="--operator-passphrase-file")


def add(group: typer.Typer) -> None:
    """Add the commands."""

    @command(group, "operator")
    def operator(
        call: Call,
        name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens.", metavar="NAME")],
        key_file: KeyOption,
        operator_passphrase_file: PassphraseOption = None,
        generate_operator_passphrase_file: Annotated[
            Path | None, typer.Option(help="Make a passphrase and write it to this new file of mode 0600.")
        ] = None,
    ) -> None:
        """Make an operator's key and name the operator in the home.

        It counts with the next policy that is applied. Once a policy counts, that takes two operators of that policy.
        """
        from gateway.config import load_config
        from gateway.installation.applied import create_operator
        from gateway.installation.passphrases import generate_passphrase_file

        load_config(call.home)
        made = generate_operator_passphrase_file
        passphrase = (
            generate_passphrase_file(made)
            if made is not None
            else obtain_operator(operator_passphrase_file, twice=True)
        )
        try:
            created = create_operator(key_file, call.home, name, passphrase)
        except BaseException:
            if made is not None:
                made.unlink(missing_ok=True)
            raise
        call.output.record({"operator": created.name, "key_file": str(key_file)})
        call.output.text(f"{created.name} is named in this home. Take {key_file} to where only {created.name} has it.")

    @command(group, "apply")
    def apply(call: Call, key_file: KeyOption, operator_passphrase_file: PassphraseOption = None) -> None:
        """Apply agreements and rules as they are; they count when a second operator has, from the next start on.

        Both look at what changes first: `concord policy applied`, `concord policy diff`.
        """
        from gateway.clock import SystemClock
        from gateway.config import load_config
        from gateway.installation.applied import apply, open_operator
        from gateway.profiles import load_profiles

        config = load_config(call.home)
        # What cannot be read would not start; nobody should give their word for it.
        load_profiles(config.partners_dir)
        key = open_operator(key_file, obtain_operator(operator_passphrase_file))
        clock = SystemClock(offset_ms=config.clock_offset_ms)
        show(call, apply(call.home, config, key, clock.now_ms()))

    @command(group, "applied")
    def applied(call: Call) -> None:
        """Say which policy counts, by whose word, and how the files differ from it."""
        from gateway.config import load_config
        from gateway.installation.applied import read_state

        show(call, read_state(call.home, load_config(call.home)))


def show(call: Call, state: "PolicyState") -> None:
    """Tell what counts and what waits."""
    from gateway.clock import format_utc

    counts, waits = state.applied, state.pending
    data: dict[str, Any] = {
        "files": state.now.digest.hex(),
        "applied": None if counts is None else counts.policy.digest.hex(),
        "applied_by": [] if counts is None else [word.operator.name for word in counts.signed],
        "pending_by": [] if waits is None else [word.operator.name for word in waits.signed],
        "operators": [item.name for item in state.now.operators],
        "drift": list(state.drift),
    }
    call.output.record(data)
    rows = [("files", data["files"]), ("operators", ", ".join(data["operators"]) or "none")]
    if counts is None:
        rows.append(("applied", "no policy"))
    else:
        rows.append(("applied", data["applied"]))
        rows += [("by", f"{word.operator.name} at {format_utc(word.time_ms)}") for word in counts.signed]
    rows += [("differs", line) for line in state.drift]
    rows += [("pending", f"{name} has applied the files; another operator is awaited") for name in data["pending_by"]]
    call.output.fields(rows)
