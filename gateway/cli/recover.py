"""concord partner recover: the way back when the identity key is lost or stolen."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.call import Call, command, confirm
from gateway.cli.card_file import show_card
from gateway.cli.passphrase import (
    PassphraseFileOption,
    RecoveryPassphraseFileOption,
    obtain,
    obtain_recovery,
)


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "recover")
    def recover(
        call: Call,
        recovery_file: Annotated[Path, typer.Option(help="The recovery key that `concord init` made.")],
        recovery_passphrase_file: RecoveryPassphraseFileOption = None,
        passphrase_file: PassphraseFileOption = None,
        new_passphrase_file: Annotated[
            Path | None,
            typer.Option(help="File of mode 0600 or 0400: what locks the keyring from now on, if the thief knows it."),
        ] = None,
        above: Annotated[
            int,
            typer.Option(help="The greatest number of a card that partners hold, when a thief has published some."),
        ] = 0,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Take this gateway back after its keyring was stolen: new keys under a card signed by the recovery key.

        Stop the gateway first. All its keys are new and the old ones revoked; its national systems need the new
        certificates in certs/. Partners take the new card over by themselves, and what waits to leave is sealed again.
        The card file goes to stdout, for partners that a thief has cut off. See
        docs/how-to/recover-a-stolen-identity.md.
        """
        from gateway.clock import SystemClock
        from gateway.config import load_config
        from gateway.installation import open_home
        from gateway.installation.passphrases import read_passphrase
        from gateway.installation.recovery import check_outside, open_recovery_file, recover_home
        from gateway.rpc.convert import WireCodec
        from gateway.rpc.convert.partner import signed_card_to_proto
        from gateway.store import keep_out

        config = load_config(call.home)
        check_outside(recovery_file, call.home, "recovery_file")
        with keep_out(config.store):
            recovery = open_recovery_file(recovery_file, obtain_recovery(recovery_passphrase_file))
            opened = open_home(call.home, obtain(passphrase_file))
            new_passphrase = read_passphrase(new_passphrase_file) if new_passphrase_file else None
            if not yes:
                confirm(
                    f"All keys of '{config.partner}' are replaced and revoked, and its national systems need the new "
                    "certificates. Recover?"
                )
            clock = SystemClock(offset_ms=config.clock_offset_ms)
            with call.output.progress("making keys and locking the keyring", None):
                recovered = recover_home(
                    opened,
                    recovery,
                    codec=WireCodec(),
                    now_ms=clock.now_ms(),
                    above=above,
                    new_passphrase=new_passphrase,
                )
        show_card(call, signed_card_to_proto(recovered.card), recovered.fingerprint)
        for line in (
            f"This is card {recovered.sequence} of '{config.partner}', with new keys; the old ones are revoked.",
            "Next:",
            f"  1. Put the recovery key back where it was: {recovery_file}",
            f"  2. {call.command('up')}",
            "     Partners then take the card over by themselves, because the card they hold names the recovery key.",
            "  3. Give your national systems their new certificates:",
            *(f"     {path}" for path in recovered.certificates),
            "  4. concord partner test PARTNER, for each. One that still refuses was shown a thief's card: send it the",
            "     card above; it adds it with its own `partner add`, after comparing the fingerprint by voice.",
            "  5. When every partner has the card: concord partner rotate tls. Until then the old TLS key counts.",
        ):
            call.output.note(call.output.runnable(line))
