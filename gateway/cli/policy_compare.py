"""concord policy diff and replay: what a change of agreements or rules does to decisions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import policy_try
from gateway.cli.call import Call, command
from gateway.cli.failure import usage

if TYPE_CHECKING:
    from gateway.ids import PartnerId
    from gateway.model.partner import Profile
    from gateway.policy.facts import Facts

DECISIONS: Final = Path("policy", "decisions.jsonl")
"""In the home: a line for each decision, with the facts it was made from."""
MAX_DECISIONS_BYTES: Final = 256 << 20


def add(group: typer.Typer) -> None:
    """Add the commands."""

    @command(group, "diff")
    def diff(
        call: Call,
        old: Annotated[Path, typer.Argument(help="Directory of partner profiles as they are.", metavar="OLD")],
        new: Annotated[Path, typer.Argument(help="Directory as it would be.", metavar="NEW")],
        files: Annotated[
            list[Path],
            typer.Argument(help="Facts as JSON, files of kept decisions (.jsonl), or directories.", metavar="FACTS..."),
        ],
        own: policy_try.OwnOption = "",
    ) -> None:
        """Say for which facts the decision would be another one. JSON: one object a line, for each that changes."""
        from gateway.profiles import load_profiles

        before, after = load_profiles(old), load_profiles(new)
        changed = total = 0
        for name, facts in named_facts(files):
            total += 1
            decider = policy_try.decider(facts, own, None)
            was, would = decided(decider, before, facts), decided(decider, after, facts)
            changed += report(call, name, was, would)
        call.output.text(f"{changed} of {total} decisions would change")

    @command(group, "replay")
    def replay(
        call: Call,
        file: Annotated[
            Path | None, typer.Argument(help="File of kept decisions [default: the home's].", metavar="[FILE]")
        ] = None,
        partners: policy_try.PartnersOption = None,
        own: policy_try.OwnOption = "",
    ) -> None:
        """Decide again on the facts of decisions that were kept, and say which would be another one today.

        JSON: one object a line, for each that changes, and a last one with the counts.
        """
        path = file or call.home / DECISIONS
        if file is None and not path.exists():
            call.output.record({"decisions": 0, "changed": 0})
            call.output.text("No decision is kept in this home; `concord policy try --keep FILE` keeps some.")
            return
        _, configured, profiles = policy_try.load(call, partners)
        changed = total = 0
        for name, facts, verdict, rules in kept(path):
            total += 1
            decider = policy_try.decider(facts, own, configured)
            changed += report(call, name, (verdict, rules), decided(decider, profiles, facts))
        call.output.record({"decisions": total, "changed": changed})
        call.output.text(f"{changed} of {total} decisions would change")


def decided(own: "PartnerId", profiles: "dict[PartnerId, Profile]", facts: "Facts") -> tuple[str, tuple[str, ...]]:
    """Return the verdict on facts and its rules."""
    decision = policy_try.policy_of(own, profiles).decide(facts)
    return type(decision).__name__.lower(), decision.rule_ids


def report(call: Call, name: str, was: tuple[str, tuple[str, ...]], would: tuple[str, tuple[str, ...]]) -> bool:
    """Tell of a decision that changes; return whether it does."""
    if was == would:
        return False
    call.output.record(
        {
            "facts": name,
            "old": {"verdict": was[0], "rules": list(was[1])},
            "new": {"verdict": would[0], "rules": list(would[1])},
        }
    )
    call.output.fields(
        [(name, f"{was[0]} ({', '.join(was[1])}) -> {would[0]} ({', '.join(would[1])})")],
    )
    return True


def named_facts(files: list[Path]) -> "Iterator[tuple[str, Facts]]":
    """Yield the facts of files and, in order of name, of the files below directories."""
    from gateway.cli.alert import expand
    from gateway.cli.connectors import read_input

    for path in expand(files):
        if path.suffix == ".jsonl":
            for name, facts, _, _ in kept(path):
                yield name, facts
        elif path.suffix == ".json" or path in files:
            yield path.name, policy_try.read_facts(read_input(path))


def kept(path: Path) -> "Iterator[tuple[str, Facts, str, tuple[str, ...]]]":
    """Yield the decisions of a file: name, facts, verdict, rules.

    Raises:
        Failure: The file cannot be read, or a line is not a decision.
    """
    from gateway.errors import GatewayError
    from gateway.policy.facts_file import MAX_FACTS_BYTES, facts_of

    try:
        if path.stat().st_size > MAX_DECISIONS_BYTES:
            raise usage(f"{path} has more than {MAX_DECISIONS_BYTES} bytes", reason="MESSAGE_TOO_LARGE")
        with path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(2 * MAX_FACTS_BYTES), b""), 1):
                name = f"{path.name}:{number}"
                try:
                    entry: dict[str, Any] = json.loads(line)
                    facts = facts_of(entry["facts"])
                    verdict, rules = str(entry["verdict"]), tuple(map(str, entry["rules"]))
                except (ValueError, TypeError, KeyError, RecursionError, GatewayError) as error:
                    why = error.text if isinstance(error, GatewayError) else "it is no line of JSON with facts"
                    raise usage(f"{name} is not a decision", why=why, reason="MESSAGE_MALFORMED") from error
                yield name, facts, verdict, rules
    except OSError as error:
        raise usage(f"{path} cannot be read", why=str(error.strerror), reason="FILE_UNREADABLE") from error
