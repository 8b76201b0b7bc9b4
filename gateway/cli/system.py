"""concord system, auditor, officer: who may call this gateway with a certificate of its own authority."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.call import Call, command, confirm
from gateway.cli.failure import usage
from gateway.cli.views import instant, moment

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import SystemView

NameArgument = Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens: early-warning.")]
DirectoryOption = Annotated[
    Path | None,
    typer.Option("--out", help="Directory for the two new files. [default: certs/ in the home]", show_default=False),
]


def register(application: typer.Typer) -> None:
    """Add the groups."""
    systems = typer.Typer(no_args_is_help=True, help="National systems: who may submit and read, and for whom.")
    application.add_typer(systems, name="system")

    @command(systems, "add")
    def add(
        call: Call,
        name: NameArgument,
        authority: Annotated[
            list[str], typer.Option(help="For whom it speaks: AUTHORITY[,AUTHORITY]; repeat for several.")
        ],
        out: DirectoryOption = None,
    ) -> None:
        """Register a system and make its key and certificate. It may call at once."""
        _add(call, "system", name, [item for text in authority for item in text.split(",")], out)

    _register_rest(systems, "system")
    auditors = typer.Typer(no_args_is_help=True, help="Auditors: who may read the exchange log and decide nothing.")
    application.add_typer(auditors, name="auditor")

    @command(auditors, "add")
    def add_auditor(call: Call, name: NameArgument, out: DirectoryOption = None) -> None:
        """Register an auditor and make its key and certificate. It may call at once."""
        _add(call, "auditor", name, [], out)

    _register_rest(auditors, "auditor")
    officers = typer.Typer(no_args_is_help=True, help="Officers: who releases and decides, for whom, in which roles.")
    application.add_typer(officers, name="officer")

    @command(officers, "add")
    def add_officer(
        call: Call,
        name: NameArgument,
        authority: Annotated[
            list[str], typer.Option(help="For whom the officer acts: AUTHORITY[,AUTHORITY]; repeat for several.")
        ],
        role: Annotated[list[str], typer.Option(help="drafter, approver or duty_lead; repeat for several.")],
        out: DirectoryOption = None,
    ) -> None:
        """Register an officer and make the key and certificate of the officer's tool. It may call at once."""
        authorities = [item for text in authority for item in text.split(",")]
        _add(call, "officer", name, authorities, out, [item for text in role for item in text.split(",")])

    _register_rest(officers, "officer")


def _register_rest(group: typer.Typer, role: str) -> None:
    @command(group, "list")
    def list_all(call: Call) -> None:
        """List who is registered, and when certificates end. JSON: one object a line."""
        with call.admin() as admin:
            found = [view for view in admin.systems().systems if view.role == role]
        for view in found:
            call.output.record(_data(view))
        rows = [
            [
                view.name,
                ", ".join(view.authorities),
                "concord.toml" if view.in_settings else "command",
                moment(view, "end_time") or "see its certificate",
            ]
            for view in found
        ]
        columns = ["name", "speaks for", "registered by", "certificate until"]
        call.output.table(columns, rows, f"None yet: `concord {role} add NAME`")

    @command(group, "renew")
    def renew(call: Call, name: NameArgument, out: DirectoryOption = None) -> None:
        """Make a new key and certificate. The one before stays good until it ends, so machines change one by one."""
        from concord.v1 import admin_service_pb2 as pb

        from gateway.crypto.certificates import new_request

        files = _Files(call, role, name, out)
        key, request = new_request()
        files.write_key(key)
        try:
            with call.admin() as admin:
                answer = admin.renew_system(pb.RenewSystemRequest(name=name, role=role, certificate_request=request))
        except BaseException:
            files.take_back()
            raise
        files.finish(answer.certificate)
        _show(call, answer.system, files, "Renewed")

    @command(group, "remove")
    def remove(
        call: Call, name: NameArgument, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
    ) -> None:
        """Take a registration back with all its certificates; open streams end within a second."""
        if not yes:
            confirm(f"'{role}/{name}' will be refused from now on, whatever certificate it shows. Remove it?")
        with call.admin() as admin:
            answer = admin.remove_system(role, name)
        call.output.record(_data(answer.system))
        call.output.text(f"Removed '{role}/{name}'.")
        if answer.system.in_settings:
            call.output.note("note: take its [[system]] out of concord.toml too; until then it stays refused here")


class _Files:
    """Where key and certificate go. The key is new and made here: it never travels."""

    def __init__(self, call: Call, role: str, name: str, out: Path | None) -> None:
        from gateway.config_values import check_system_name

        check_system_name(name)
        directory = out or call.home / "certs"
        self.certificate = directory / f"{role}-{name}.pem"
        self.key = directory / f"{role}-{name}.key.pem"
        self._new = directory / f".{role}-{name}.key.pem.{os.getpid()}"

    def write_key(self, key: bytes) -> None:
        """Write the key under a name of its own: the old one stays until there is a certificate for the new one."""
        from gateway.installation.private_files import write_new_private

        write_new_private(self._new, key)

    def take_back(self) -> None:
        """Leave nothing behind."""
        self._new.unlink(missing_ok=True)

    def finish(self, certificate: bytes) -> None:
        """Put both in place."""
        from gateway.installation.private_files import sync_directory, write_private

        # The key first: if we die between the two, `renew` makes both anew.
        try:
            self._new.replace(self.key)
            write_private(self.certificate, certificate, 0o644)
            sync_directory(self.key.parent)
        except OSError as error:
            why = error.strerror or ""
            raise usage(f"cannot write {self.certificate}", why=why, reason="FILE_UNWRITABLE") from None


def _add(
    call: Call,
    role: str,
    name: str,
    authorities: list[str],
    out: Path | None,
    officer_roles: Sequence[str] = (),
) -> None:
    from concord.v1 import admin_service_pb2 as pb

    from gateway.crypto.certificates import new_request

    files = _Files(call, role, name, out)
    key, request = new_request()
    files.write_key(key)
    try:
        with call.admin() as admin:
            answer = admin.add_system(
                pb.AddSystemRequest(
                    name=name,
                    role=role,
                    authorities=authorities,
                    certificate_request=request,
                    officer_roles=officer_roles,
                )
            )
    except BaseException:
        files.take_back()
        raise
    files.finish(answer.certificate)
    _show(call, answer.system, files, "Added")


def _show(call: Call, view: "SystemView", files: _Files, word: str) -> None:
    call.output.record({**_data(view), "key": str(files.key), "certificate": str(files.certificate)})
    call.output.text(f"{word} '{view.role}/{view.name}'. It may call now.")
    call.output.fields(
        [
            ("speaks for", ", ".join(view.authorities) or "nobody: it reads"),
            *([("known as", f"{view.officer_id}  ({', '.join(view.officer_roles)})")] if view.officer_id else []),
            ("key", f"{files.key}  (mode 0600; move it to the system, keep no copy)"),
            ("certificate", f"{files.certificate}  (until {moment(view, 'end_time')})"),
        ]
    )


def _data(view: "SystemView") -> dict[str, Any]:
    return {
        "name": view.name,
        "role": view.role,
        "authorities": list(view.authorities),
        "in_settings": view.in_settings,
        "end_time": instant(view, "end_time"),
        "fingerprint": view.fingerprint or None,
        **({"officer_id": view.officer_id, "officer_roles": list(view.officer_roles)} if view.officer_id else {}),
    }
