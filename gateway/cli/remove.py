"""concord partner remove: forgetting a partner for good."""

from typing import Annotated

import typer

from gateway.cli.call import Call, command, confirm_by_typing


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "remove")
    def remove(
        call: Call,
        partner: Annotated[str, typer.Argument(help="Partner id, for example th.")],
        yes: Annotated[
            str, typer.Option("--yes", help="The partner's id once more, instead of typing it when asked.")
        ] = "",
        discard_waiting: Annotated[
            bool,
            typer.Option("--discard-waiting", help="Give up what waits for it; each message ends as expired."),
        ] = False,
    ) -> None:
        """Forget a partner: its links close within a second and it is refused from then on.

        Refused while messages wait for it. Receipts, messages and cards stay as evidence. To exchange again, add its
        card with its fingerprint, as with a new partner.
        """
        confirm_by_typing(partner, yes, f"'{partner}' has to be paired anew by voice after this.")
        with call.admin() as admin:
            answer = admin.remove(partner, discard_waiting)
        call.output.record({"partner": partner, "discarded": answer.discarded})
        call.output.text(f"Removed '{partner}'.")
        if answer.discarded:
            call.output.text(f"Messages given up: {answer.discarded}. Each ended as expired, signed by this gateway.")
        call.output.text(f"To exchange again: {call.command('partner add FILE --fingerprint ...')}")
