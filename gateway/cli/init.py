"""concord init: makes the home of a gateway."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import failure_of, usage
from gateway.cli.passphrase import PassphraseFileOption


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
    ) -> None:
        """Make a home: keys, certificates and settings of one gateway.

        The keyring is locked with a passphrase. Without it nothing in the home can be used, and nobody can recover it.
        """
        from gateway.clock import SystemClock, format_utc
        from gateway.errors import StateConflict
        from gateway.installation import Plan, create_home
        from gateway.installation.passphrases import generate_passphrase_file as generate

        if passphrase_file and generate_passphrase_file:
            raise usage("name --passphrase-file or --generate-passphrase-file, not both")
        plan = Plan.parse(
            partner=partner,
            mode=mode,
            federation=listen_federation,
            exchange=listen_exchange,
            endpoints=public or [],
            systems=system or [],
            authority=authority,
        )
        from gateway.cli import passphrase as passphrases

        if generate_passphrase_file:
            passphrase = generate(generate_passphrase_file)
        else:
            passphrase = passphrases.obtain(passphrase_file, twice=True)
        try:
            with call.output.progress("making keys and locking the keyring", None):
                created = create_home(call.home, plan, passphrase, SystemClock().now_ms())
        except BaseException as error:
            if generate_passphrase_file:
                generate_passphrase_file.unlink(missing_ok=True)
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
        call.output.fields(rows)
        call.output.text()
        call.output.text("Next:")
        unlock = f" --passphrase-file {generate_passphrase_file}" if generate_passphrase_file else ""
        call.output.text(f"  concord up --home {call.home}{unlock}")
        call.output.text(
            f"  concord partner card --home {call.home} > {plan.partner}.card    # send it to your partners"
        )
