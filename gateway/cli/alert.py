"""concord alert: what would become of alert files, which needs no gateway, and where alerts stand."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import alert_life
from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode, Failure
from gateway.cli.output import visible

if TYPE_CHECKING:
    from gateway.cli.connectors import AlertConnector, Check

REFUSED: Final = "refused"
DEFECT: Final = "internal"
UNREADABLE: Final = "file_unreadable"


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Check alert files; see and cancel alerts.")
    application.add_typer(group, name="alert")
    alert_life.add(group)

    @command(group, "check")
    def check(
        call: Call,
        files: Annotated[
            list[Path],
            typer.Argument(
                help="CAP files, feeds, EDXL-DE files, or directories that are searched; - reads stdin.",
                metavar="FILE...",
            ),
        ],
        connector: Annotated[str, typer.Option(help="Which connector reads them.")] = "cap",
    ) -> ExitCode | None:
        """Say of each alert whether it would be accepted, with what was odd. JSON: one object a line.

        Of a feed or an EDXL distribution, every alert inside gets a line (FILE#1, ...). Links are not followed.
        Exit code 0 when nothing is refused, 3 when something is. What is accepted here can still be refused at
        sending, by policy.
        """
        from gateway.cli.connectors import load_connector
        from gateway.clock import SystemClock

        reader = load_connector(connector)
        now_ms = SystemClock().now_ms()
        counts = {"accepted": 0, "accepted_with_findings": 0, REFUSED: 0}
        paths = list(expand(files))
        with call.output.progress("checking", len(paths)) as tick:
            for done, path in enumerate(paths, 1):
                for data in verdicts_on(reader, path, now_ms):
                    counts[data["verdict"]] = counts.get(data["verdict"], 0) + 1
                    call.output.record(data)
                    for line in describe(data) if not call.output.as_json else ():
                        call.output.text(line)
                tick(done, path.name)
        call.output.text()
        call.output.text(
            f"{len(paths)} file{'' if len(paths) == 1 else 's'}: {counts['accepted']} accepted, "
            f"{counts['accepted_with_findings']} accepted with findings, {counts[REFUSED]} refused"
        )
        return ExitCode.REFUSED if counts[REFUSED] else None


def expand(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files named and, in order of name, the plain files below the directories named."""
    for path in paths:
        if str(path) == "-" or not path.is_dir():
            yield path
            continue
        # Links are not followed: a directory may hold a link to its own parent.
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if file.is_file():
                    yield file


def verdicts_on(reader: "AlertConnector", path: Path, now_ms: int) -> list[dict[str, Any]]:
    """Return the verdict on every alert in a file; whatever happens, there is one."""
    from gateway.cli.connectors import read_input

    empty: dict[str, Any] = {"findings": [], "identifier": "", "sender": "", "sent": "", "status": "", "version": ""}
    empty["signature"] = ""
    try:
        results = reader.check_all(read_input(path), now_ms)
    except Failure as failure:
        return [{"file": str(path), "verdict": REFUSED, "reason": UNREADABLE, "detail": failure.why, **empty}]
    except Exception as error:  # noqa: BLE001
        # A connector is somebody's code that reads somebody else's bytes: one bad file must not hide the others.
        detail = f"the connector failed: {type(error).__name__}"
        return [{"file": str(path), "verdict": REFUSED, "reason": DEFECT, "detail": detail, **empty}]
    return [as_data(f"{path}{place}", result) for place, result in results]


def as_data(name: str, result: "Check") -> dict[str, Any]:
    """Return a verdict as plain data."""
    return {
        "file": name,
        "verdict": result.verdict,
        "reason": result.reason,
        "detail": result.detail,
        "findings": [{"code": item.code, "path": item.path, "detail": item.detail} for item in result.findings],
        "identifier": result.identifier,
        "sender": result.sender,
        "sent": result.sent,
        "status": result.status,
        "version": result.version,
        "signature": result.signature,
    }


def describe(data: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that tell a person about one verdict."""
    marks = {"accepted": "ok      ", "accepted_with_findings": "findings", REFUSED: "REFUSED "}
    line = f"{marks.get(data['verdict'], data['verdict'])}  {data['file']}"
    if data["verdict"] == REFUSED:
        line += f"  {data['reason']}: {data['detail']}"
    elif data["identifier"]:
        line += f"  {data['identifier']}"
        if data["signature"] not in {"", "unsigned"}:
            line += f"  signature {data['signature']}"
    yield visible(line)
    for item in data["findings"]:
        yield visible(f"            {item['code']}  {item['path']}  {item['detail']}".rstrip())
