"""concord init: makes the home of a gateway."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import failure_of, usage
from gateway.cli.passphrase import (
    PassphraseFileOption,
    RecoveryPassphraseFileOption,
    obtain,
    obtain_recovery,
)

if TYPE_CHECKING:
    from gateway.ids import PartnerId


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "init")
    def init(
        call: Call,
        partner: Annotated[str, typer.Argument(help="The state, as ISO 3166-1 alpha-2 in lower case: th.")],
        mode: Annotated[str, typer.Option(help="actual, exercise or test. Cannot be changed later.")] = "exercise",
        listen_federation: Annotated[
            str, typer.Option(help="host:port where partner gateways call.")
        ] = "127.0.0.1:7443",
        listen_exchange: Annotated[
            str, typer.Option(help="host:port where this state's own systems call.")
        ] = "127.0.0.1:7444",
        public: Annotated[
            list[str] | None,
            typer.Option(help="host:port under which partners reach this gateway; repeat for several."),
        ] = None,
        system: Annotated[
            list[str] | None,
            typer.Option(
                help="A national system and for whom it speaks: NAME=AUTHORITY[,AUTHORITY]; repeat for several."
            ),
        ] = None,
        authority: Annotated[
            str,
            typer.Option(
                help="For whom `concord send` speaks. [default: the first of the partner's profile]", show_default=False
            ),
        ] = "",
        passphrase_file: PassphraseFileOption = None,
        generate_passphrase_file: Annotated[
            Path | None, typer.Option(help="Make a passphrase and write it to this new file of mode 0600.")
        ] = None,
        recovery_file: Annotated[
            Path | None,
            typer.Option(help="Make a recovery key in this new file outside the home; keep it off line, elsewhere."),
        ] = None,
        recovery_passphrase_file: RecoveryPassphraseFileOption = None,
        generate_recovery_passphrase_file: Annotated[
            Path | None,
            typer.Option(help="Make a passphrase for the recovery key and write it to this new file of mode 0600."),
        ] = None,
    ) -> None:
        """Make a home: keys, certificates and settings of one gateway.

        The keyring is locked with a passphrase. Without it nothing in the home can be used, and nobody can recover it.
        With --recovery-file a recovery key is made as well, locked with a passphrase of its own: the only way to prove
        to partners, after the keyring was stolen, which gateway is the true one. This version cannot make one later.
        """
        from gateway.clock import SystemClock, format_utc
        from gateway.errors import StateConflict
        from gateway.installation import Plan, create_home
        from gateway.model.header import Mode

        plan = Plan.parse(
            partner=partner,
            mode=mode,
            federation=listen_federation,
            exchange=listen_exchange,
            endpoints=public or [],
            systems=system or [],
            authority=authority,
        )
        wanted = Secrets(
            passphrase_file, generate_passphrase_file,
            recovery_file, recovery_passphrase_file, generate_recovery_passphrase_file,
        )  # fmt: skip
        wanted.check()
        made: list[Path] = []
        try:
            passphrase = wanted.passphrase(made)
            recovery_public = wanted.recovery_public(call.home, plan.partner, passphrase, made)
            with call.output.progress("making keys and locking the keyring", None):
                created = create_home(
                    call.home, plan, passphrase, SystemClock().now_ms(), recovery_public=recovery_public
                )
        except BaseException as error:
            for path in made:
                path.unlink(missing_ok=True)
            if isinstance(error, StateConflict):
                failure = failure_of(error)
                failure.advice = "name another directory with --home; a home that is there is never overwritten"
                raise failure from None
            raise
        call.output.record(
            {
                "home": str(created.home),
                "partner": str(plan.partner),
                "mode": plan.mode.name.lower(),
                "fingerprint": created.fingerprint,
                "federation": plan.federation,
                "exchange": plan.exchange,
                "endpoints": list(plan.endpoints),
                "systems": [name for name, _ in plan.systems],
                "default_authority": str(plan.authority) if plan.authority else None,
                "passphrase_file": str(generate_passphrase_file) if generate_passphrase_file else None,
                "recovery_file": str(recovery_file) if recovery_file else None,
                "recovery_passphrase_file": (
                    str(generate_recovery_passphrase_file) if generate_recovery_passphrase_file else None
                ),
                "files": [str(path) for path in created.files],
            }
        )
        call.output.text(f"Made {created.home} for '{plan.partner}' in mode {plan.mode.name.lower()}.")
        rows = [
            ("keyring", f"{created.keyring}  (keep a copy apart from the passphrase)"),
            ("settings", str(created.settings)),
            ("certificates", f"{created.certificates}  (valid until {format_utc(created.certificates_end_ms)})"),
            ("fingerprint", f"{created.fingerprint}  (read it to partners by voice)"),
        ]
        if generate_passphrase_file:
            rows.insert(
                1, ("passphrase", f"{generate_passphrase_file}  (whoever has it and the keyring is this gateway)")
            )
        if recovery_file:
            rows.append(("recovery key", f"{recovery_file}  (take it off this machine, apart from its passphrase)"))
            if generate_recovery_passphrase_file:
                rows.append(("its passphrase", f"{generate_recovery_passphrase_file}  (take it elsewhere again)"))
        else:
            rows.append(("recovery key", "NONE  (see below)"))
        call.output.fields(rows)
        call.output.text()
        if not recovery_file:
            call.output.text(
                "There is no recovery key: whoever steals the keyring can speak for this gateway as well as you can, "
                "and nothing you sign proves to partners which of you is the true one. This version cannot add one "
                "later: to have one, remove this home and run init with --recovery-file PATH."
            )
            call.output.text()
        call.output.text("Next:")
        if plan.mode is Mode.ACTUAL:
            call.output.text("  two operators apply agreements and rules: docs/how-to/apply-a-policy.md")
        unlock = f" --passphrase-file {shlex.quote(str(generate_passphrase_file))}" if generate_passphrase_file else ""
        call.output.text(f"  {call.command('up')}{unlock}")
        call.output.text(f"  {call.command('partner card')} > {plan.partner}.card    # send it to your partners")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where the passphrases and the recovery key of a new home come from."""

    passphrase_file: Path | None
    generate_passphrase_file: Path | None
    recovery_file: Path | None
    recovery_passphrase_file: Path | None
    generate_recovery_passphrase_file: Path | None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            Failure: It does not.
        """
        if self.passphrase_file and self.generate_passphrase_file:
            raise usage("name --passphrase-file or --generate-passphrase-file, not both")
        if self.recovery_passphrase_file and self.generate_recovery_passphrase_file:
            raise usage("name --recovery-passphrase-file or --generate-recovery-passphrase-file, not both")
        if self.recovery_file is None and (self.recovery_passphrase_file or self.generate_recovery_passphrase_file):
            raise usage("a passphrase of a recovery key was named, but no recovery key", advice="add --recovery-file")

    def passphrase(self, made: list[Path]) -> str:
        """Return the keyring's passphrase; files made for it are added to the list."""
        from gateway.installation.passphrases import generate_passphrase_file

        if not self.generate_passphrase_file:
            return obtain(self.passphrase_file, twice=True)
        passphrase = generate_passphrase_file(self.generate_passphrase_file)
        made.append(self.generate_passphrase_file)
        return passphrase

    def recovery_public(self, home: Path, partner: "PartnerId", other: str, made: list[Path]) -> bytes | None:
        """Make the recovery key, if one is wanted, and return its public part; files are added to the list.

        Args:
            other: The keyring's passphrase, which must not be this one's.
        """
        from gateway.installation.passphrases import generate_passphrase_file
        from gateway.installation.recovery import check_outside, create_recovery_file

        if self.recovery_file is None:
            return None
        if generated := self.generate_recovery_passphrase_file:
            check_outside(generated, home, "generate_recovery_passphrase_file")
            passphrase = generate_passphrase_file(generated)
            made.append(generated)
        else:
            passphrase = obtain_recovery(self.recovery_passphrase_file, twice=True)
        if passphrase == other:
            raise usage("the recovery key needs a passphrase of its own", why="whoever has one would have both")
        public = create_recovery_file(self.recovery_file, home, partner, passphrase)
        made.append(self.recovery_file)
        return public
