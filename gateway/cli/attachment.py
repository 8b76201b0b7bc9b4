"""concord attachment: files that travel beside messages.

These commands speak as a national system, with its certificate: an operator has no way to content. A file's name is
its sender's choice and never a path here; nothing is opened, shown or written over.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import usage
from gateway.cli.views import instant, moment

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import AttachmentView

    from gateway.client import Client

SystemOption = Annotated[str, typer.Option(help="National system of this home that asks.")]
SenderOption = Annotated[
    str, typer.Option("--from", help="Partner that sent the message; absent: it is one of ours.", show_default=False)
]
MessageArgument = Annotated[str, typer.Argument(help="Whole id of the message.")]
IndexArgument = Annotated[int, typer.Argument(min=0, max=255, help="Which of its files, from 0.")]


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Files that travel beside messages, as a national system.")
    application.add_typer(group, name="attachment")

    @command(group, "put")
    def put(
        call: Call,
        file: Annotated[Path, typer.Argument(help="What is to be handed in, up to 2 GiB.")],
        media_type: Annotated[str, typer.Option("--type", help="What it is, as in application/pdf.")],
        out: Annotated[Path, typer.Option(help="Where to write what the draft says of it; it holds the key.")],
        name: Annotated[str, typer.Option(help="What the recipient is told; else the file's own name.")] = "",
        upload_id: Annotated[str, typer.Option(help="A UUID, to go on with an upload after a break.")] = "",
        system: SystemOption = "national",
    ) -> None:
        """Hand in a file that a draft is to name within a day. Goes on where a line broke."""
        from google.protobuf.json_format import MessageToJson

        if out.exists() or out.is_symlink():
            raise usage(f"'{out}' is there already, and nothing is written over")
        with _client(call, system) as client:
            attachment = client.upload(file, media_type, name=name or None, upload_id=upload_id or None)
        text = MessageToJson(attachment, preserving_proto_field_name=True)
        # The key opens the file: for this user alone.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(text + "\n")
        call.output.record(
            {
                "name": attachment.name,
                "media_type": attachment.media_type,
                "size_bytes": attachment.size_bytes,
                "sha256": attachment.sha256.hex(),
                "out": str(out),
            }
        )
        call.output.fields(
            [
                ("file", f"{attachment.name}, {attachment.media_type}, {attachment.size_bytes} bytes"),
                ("sha256", attachment.sha256.hex()),
                ("for the draft", f"{out} (holds the key; among the attachments of the content)"),
            ]
        )

    @command(group, "list")
    def list_files(
        call: Call, message_id: MessageArgument, sender: SenderOption = "", system: SystemOption = "national"
    ) -> None:
        """List the files of a message and how far each has come. JSON: one object a line."""
        with _client(call, system) as client:
            views = client.attachments(message_id, sender=sender)
        for view in views:
            call.output.record(_data(view))
        call.output.table(
            ["file", "state", "here", "size", "type", "sha256", "name"],
            [
                [
                    str(view.index),
                    view.state + (f" ({view.reason})" if view.reason else ""),
                    str(view.here_bytes),
                    str(view.attachment.size_bytes),
                    view.attachment.media_type,
                    view.attachment.sha256.hex(),
                    view.attachment.name,
                ]
                for view in views
            ],
            "The message names no files.",
        )

    @command(group, "get")
    def get(
        call: Call,
        message_id: MessageArgument,
        index: IndexArgument,
        out: Annotated[
            Path | None, typer.Option(help="File to write; else one named after the sender's name for it, here.")
        ] = None,
        sender: SenderOption = "",
        system: SystemOption = "national",
    ) -> None:
        """Fetch a file of a message, check its digest and write it where nothing lies. It is not opened."""
        from gateway.client.files import safe_name

        with _client(call, system) as client:
            views = client.attachments(message_id, sender=sender)
            if index >= len(views):
                raise usage(f"the message names {len(views)} files, counted from 0", reason="NOT_FOUND")
            target = out or Path(safe_name(views[index].attachment.name, index))
            attachment = client.download(message_id, index, target, sender=sender)
        call.output.record({"out": str(target), "size_bytes": attachment.size_bytes, "sha256": attachment.sha256.hex()})
        call.output.text(f"{target}: {attachment.size_bytes} bytes, the digest is that of the message.")

    @command(group, "custody")
    def custody(
        call: Call,
        message_id: MessageArgument,
        index: IndexArgument,
        sender: SenderOption = "",
        system: SystemOption = "national",
    ) -> None:
        """Show what this gateway did with a file, oldest first. JSON: one object a line."""
        with _client(call, system) as client:
            views = client.attachments(message_id, sender=sender)
        if index >= len(views):
            raise usage(f"the message names {len(views)} files, counted from 0", reason="NOT_FOUND")
        steps = _data(views[index])["custody"]
        for step in steps:
            call.output.record(step)
        call.output.table(
            ["time", "what", "by", "partner", "reason"],
            [
                [moment(step, "time"), step.event, step.actor, step.partner, step.reason]
                for step in views[index].custody
            ],
            "Nothing was done with it yet.",
        )


def _client(call: Call, system: str) -> "Client":
    """Return a line to this home's gateway as one of its systems.

    Raises:
        ConfigInvalid: The home, or the system's certificate, is not there.
    """
    from gateway.client import Client, Credentials
    from gateway.config import load_config
    from gateway.config_values import check_system_name

    config = load_config(call.home)
    certificates = call.home / "certs"
    credentials = Credentials.from_files(
        roots=certificates / "authority.pem",
        chain=certificates / f"system-{check_system_name(system)}.pem",
        key=certificates / f"system-{system}.key.pem",
    )
    return Client(f"localhost:{config.listen.exchange.rpartition(':')[2]}", credentials)


def _data(view: "AttachmentView") -> dict[str, Any]:
    return {
        "index": view.index,
        "name": view.attachment.name,
        "media_type": view.attachment.media_type,
        "size_bytes": view.attachment.size_bytes,
        "sha256": view.attachment.sha256.hex(),
        "state": view.state,
        "reason": view.reason,
        "here_bytes": view.here_bytes,
        "sealed_sha256": view.sealed_sha256.hex(),
        "custody": [
            {
                "time": instant(step, "time"),
                "event": step.event,
                "actor": step.actor,
                "partner": step.partner,
                "reason": step.reason,
            }
            for step in view.custody
        ],
    }
