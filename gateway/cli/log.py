"""concord log: the record of what this gateway did, provable to anybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import log_begin
from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode, Failure, usage
from gateway.cli.output import visible
from gateway.cli.views import id_text, instant, moment

if TYPE_CHECKING:
    from concord.v1.audit_service_pb2 import GetHeadResponse, LogEntryView, SearchEntriesRequest, SeenCheckpoint

    from gateway.cli.admin import AdminClient

PAGE: Final = 1000
LogOption = Annotated[
    int, typer.Option("--log", min=0, max=4096, help="Number of a log that ended, as `concord log head` lists them.")
]


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="The exchange log: what this gateway did, provable to anybody, offline too."
    )
    application.add_typer(group, name="log")

    @command(group, "head")
    def head(call: Call, log: LogOption = 0) -> None:
        """Show where the log stands: name, size, newest checkpoint, keys, and what partners' logs were seen."""
        with call.admin() as admin:
            show_head(call, admin.log_head(log))

    log_begin.register(group)

    @command(group, "search")
    def search(
        call: Call,
        kind: Annotated[
            list[str] | None, typer.Option("--type", help="For example message-released. May be repeated.")
        ] = None,
        partner: Annotated[str, typer.Option(help="Steps that concern this partner alone.")] = "",
        actor: Annotated[str, typer.Option(help="For example system/early-warning.")] = "",
        message: Annotated[str, typer.Option(help="Message id.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
        log: LogOption = 0,
    ) -> None:
        """Search the whole log, newest first; says how many entries match in all. The search itself is recorded."""
        from concord.v1 import audit_service_pb2 as pb

        request = pb.SearchEntriesRequest(
            types=kind or [],
            partner=partner,
            actor=actor,
            message_id=message_bytes(message) if message else b"",
            log=log,
        )
        with call.admin() as admin:
            found = list(pages(admin, request, limit))
        entries = [entry for page in found for entry in page.entries][:limit]
        for entry in entries:
            call.output.record(entry_data(entry))
        rows = [
            [
                str(entry.index),
                moment(entry.step, "time"),
                entry.step.type,
                entry.step.actor,
                entry.step.partner,
                id_text(entry.step.message_id) if entry.step.message_id else "",
                " ".join(part for part in (entry.step.outcome, entry.step.reason, entry.step.detail) if part),
            ]
            for entry in entries
        ]
        call.output.table(
            ["entry", "when", "what", "who", "whom", "message", "why"], rows, "Nothing in the whole log matches."
        )
        if found:
            first = found[0]
            call.output.note(
                f"{len(entries)} of {first.total} that match; searched {first.searched} of {first.size} entries"
            )

    @command(group, "prove")
    def prove(
        call: Call,
        what: Annotated[str, typer.Argument(help="A message id, for its newest step, or the number of an entry.")],
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="Write NAME.tlog-proof, NAME.leaf and NAME.json there.")
        ] = None,
        partner: Annotated[
            str,
            typer.Option(help="Have this partner prove the step of its log that its receipt for the message names."),
        ] = "",
        log: LogOption = 0,
    ) -> None:
        """Prove that a step is in the log, as files that verify with no gateway and no network."""
        from concord.v1 import audit_service_pb2 as pb

        number = what.isascii() and what.isdigit()
        request = (
            pb.ProveEntryRequest(index=int(what)) if number else pb.ProveEntryRequest(message_id=message_bytes(what))
        )
        if partner and number:
            raise usage("a partner is asked about a message", advice="name the message id, not an entry of this log")
        request.partner = partner
        request.log = log
        with call.admin() as admin:
            proved = admin.log_prove(request)
        from gateway.cli.log_files import verify_proof_file

        tree = verify_proof_file(
            proved.proof, proved.entry.leaf, proved.entry.disclosure, proved.verifier_keys
        ).checkpoint
        data = {**entry_data(proved.entry), "size": tree.size, "origin": tree.origin}
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            names = {".tlog-proof": proved.proof, ".leaf": proved.entry.leaf}
            names[".json"] = (proved.entry.disclosure + "\n").encode()
            names[".vkey"] = ("\n".join(proved.verifier_keys) + "\n").encode()
            for suffix, content in names.items():
                out.with_name(out.name + suffix).write_bytes(content)
            data["files"] = [str(out.with_name(out.name + suffix)) for suffix in names]
        call.output.record(data)
        step = proved.entry.step
        call.output.fields(
            [
                ("entry", f"{proved.entry.index} of {tree.size} in {tree.origin}"),
                ("what", step.type),
                ("when", moment(step, "time")),
                ("who", step.actor),
                ("proof", "verified here against the log's keys"),
                *((("files", ", ".join(data["files"])),) if out is not None else ()),
            ]
        )

    @command(group, "check")
    def check(
        call: Call,
        directory: Annotated[
            Path | None, typer.Argument(help="A log exported earlier; without it, the log of the running gateway.")
        ] = None,
        vkeys: Annotated[
            list[str] | None, typer.Option("--vkey", help="Verifier key of the log; needed for a directory.")
        ] = None,
    ) -> ExitCode | None:
        """Compute the log anew from its entries and compare it with tiles, checkpoints and what entries disclose."""
        if directory is not None:
            if not vkeys:
                raise usage("a directory is checked against keys that you have from elsewhere", advice="give --vkey")
            from gateway.cli.log_files import check_directory

            result = check_directory(directory, vkeys)
        else:
            with call.admin() as admin:
                result = watch_check(call, admin)
        call.output.record(result)
        call.output.fields(
            [
                ("entries", f"{result['checked']} of {result['size']} computed anew"),
                ("checkpoints", f"{result['checkpoints']} verified"),
                ("disclosed", f"{result['disclosed']} fit their leaves, {result['erased']} erased"),
                ("result", "sound" if result["sound"] else "NOT SOUND"),
                *(("problem", problem) for problem in result["problems"]),
            ]
        )
        return None if result["sound"] else ExitCode.REFUSED

    @command(group, "export")
    def export(
        call: Call,
        directory: Annotated[Path, typer.Argument(help="A new or empty directory.")],
        disclose: Annotated[
            bool, typer.Option("--disclose", help="Also write entries.jsonl with what every entry discloses.")
        ] = False,
        log: LogOption = 0,
    ) -> None:
        """Export the log as static files (C2SP tlog-tiles) that any verifier of such logs can read."""
        from gateway.cli.log_files import write_static_log

        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise usage(f"{directory} is not an empty directory")
        with call.admin() as admin:
            now = admin.log_head(log)
            if not now.checkpoint:
                raise Failure(
                    "there is nothing to export yet",
                    why="the log has no checkpoint",
                    advice="wait ten seconds and try again",
                    reason="NOT_FOUND",
                    code=ExitCode.REFUSED,
                )
            with call.output.progress("files", None) as tick:
                files = write_static_log(directory, now, admin, disclose=disclose, tick=tick)
        call.output.record(
            {
                "directory": str(directory),
                "origin": now.origin,
                "size": now.checkpoint_size,
                "files": files,
                "verifier_keys": list(now.verifier_keys),
            }
        )
        call.output.fields(
            [
                ("log", now.origin),
                ("entries", str(now.checkpoint_size)),
                ("files", f"{files} in {directory}"),
                ("check", f"concord log check {directory} --vkey '{now.verifier_keys[0]}'"),
            ]
        )


def message_bytes(text: str) -> bytes:
    """Return a message id's bytes.

    Raises:
        Failure: Not an id.
    """
    import uuid

    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise usage(
            f"'{text}' is not a message id", advice="`concord inbox` and `concord log search` show ids"
        ) from None


def pages(admin: "AdminClient", request: "SearchEntriesRequest", limit: int) -> Iterator[Any]:
    """Yield pages of a search until the limit."""
    left = limit
    while left > 0:
        request.page_size = min(left, PAGE)
        page = admin.log_search(request)
        yield page
        left -= len(page.entries)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def entry_data(entry: "LogEntryView") -> dict[str, Any]:
    """Return an entry as plain data."""
    data: dict[str, Any] = {"index": entry.index, "leaf": entry.leaf.hex()}
    if entry.HasField("step"):
        step = entry.step
        data |= {
            "type": step.type,
            "time": instant(step, "time"),
            "actor": step.actor,
            "partner": step.partner,
            "message_id": id_text(step.message_id) if step.message_id else "",
            "thread_id": id_text(step.thread_id) if step.thread_id else "",
            "digest": step.digest.hex(),
            "outcome": step.outcome,
            "reason": step.reason,
            "detail": step.detail,
        }
    return data


def show_head(call: Call, head: "GetHeadResponse") -> None:
    """Print where the log stands."""
    call.output.record(
        {
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "waiting": head.waiting,
            "checkpoint_size": head.checkpoint_size,
            "checkpoint_time": instant(head, "checkpoint_time"),
            "checkpoint": head.checkpoint.decode(),
            "verifier_keys": list(head.verifier_keys),
            "seen": [
                {
                    "partner": item.partner,
                    "origin": item.origin,
                    "size": item.size,
                    "time": instant(item, "time"),
                    "forked": item.forked,
                    "went_back": item.went_back,
                }
                for item in head.seen
            ],
            "problem": head.problem,
            "number": head.number,
            "ended": [
                {
                    "number": item.number,
                    "origin": item.origin,
                    "size": item.size,
                    "end_time": instant(item, "end_time"),
                    "problem": item.problem,
                    "reason": item.reason,
                }
                for item in head.ended
            ],
            "findings": list(head.findings),
        }
    )
    call.output.fields(
        [
            ("log", head.origin),
            ("entries", f"{head.size} in the tree, {head.waiting} on their way into it"),
            ("root", head.root.hex()),
            (
                "checkpoint",
                f"{head.checkpoint_size} entries, {moment(head, 'checkpoint_time')}" if head.checkpoint else "none yet",
            ),
            *(("verifier key", f"{text[:100]}..." if len(text) > 120 else text) for text in head.verifier_keys),
            *((("PROBLEM", head.problem),) if head.problem else ()),
            *(
                (
                    "ended",
                    f"{item.number}: {item.origin}, {item.size} entries, {moment(item, 'end_time')}: {item.reason}",
                )
                for item in head.ended
            ),
            *(("FINDING", visible(text)) for text in head.findings),
        ]
    )
    rows = [[item.partner, str(item.size), moment(item, "time"), finding_of(item), item.origin] for item in head.seen]
    call.output.table(["partner's log", "entries", "seen", "", "name"], rows, "No partner's log was seen yet.")


def finding_of(seen: "SeenCheckpoint") -> str:
    """Return in capitals what a checkpoint says against its log."""
    if seen.forked:
        return "CONTRADICTS ANOTHER"
    return "WENT BACK" if seen.went_back else ""


def watch_check(call: Call, admin: "AdminClient") -> dict[str, Any]:
    """Have the gateway check its log, showing how far it is."""
    last = None
    with call.output.progress("entries", None) as tick:
        for last in admin.log_check():
            tick(last.checked, f"of {last.size}")
    if last is None or not last.done:
        raise Failure(
            "the check did not come to its end",
            why="the gateway stopped answering",
            advice="look at the gateway's log and try again",
            reason="CHECK_INCOMPLETE",
            code=ExitCode.REFUSED,
        )
    return {
        "checked": last.checked,
        "size": last.size,
        "checkpoints": last.checkpoints,
        "disclosed": last.disclosed,
        "erased": last.erased,
        "sound": last.sound,
        "problems": list(last.problems),
    }
