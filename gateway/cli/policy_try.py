"""concord policy try: what the rules say of facts, or of an alert file, with the reasons in words."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode, Failure, usage
from gateway.cli.output import visible

if TYPE_CHECKING:
    from gateway.ids import PartnerId
    from gateway.model.partner import Profile
    from gateway.policy.cases import CasePolicy
    from gateway.policy.decision import Decision
    from gateway.policy.facts import Facts

PartnersOption = Annotated[
    Path | None,
    typer.Option("--partners", help="Directory of partner profiles [default: the home's].", show_default=False),
]
LanguageOption = Annotated[str, typer.Option("--lang", help="Language of the reasons: en zh ar th lo my km vi ru fr.")]
OwnOption = Annotated[
    str, typer.Option("--as", help="Whose gateway decides [default: the home's partner].", show_default=False)
]


def add(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "try")
    def try_(
        call: Call,
        file: Annotated[Path, typer.Argument(help="Facts as JSON, or a CAP alert; - reads stdin.", metavar="FILE")],
        language: LanguageOption = "en",
        partners: PartnersOption = None,
        own: OwnOption = "",
        speaks: Annotated[str, typer.Option("--from", help="Of an alert: the authority that sends it.")] = "",
        to: Annotated[list[str] | None, typer.Option("--to", help="Of an alert: a partner; may be repeated.")] = None,
        purpose: Annotated[str, typer.Option(help="Of an alert.")] = "public_warning",
        keep: Annotated[
            Path | None, typer.Option(help="Add facts and decision to this file, for `concord policy replay`.")
        ] = None,
    ) -> ExitCode | None:
        """Say what would be decided on facts, by which rules, and what each of them says. Nothing is sent.

        Exit code 0 when it is allowed, 3 when it is held or denied.
        """
        from gateway.cli.connectors import read_input
        from gateway.policy.decision import Allow

        check_language(language)
        data = read_input(file)
        is_alert = data.lstrip()[:1] == b"<"
        facts = facts_of_alert(call, data, speaks, to or [], purpose) if is_alert else read_facts(data)
        _, configured, profiles = load(call, partners)
        decision = policy_of(decider(facts, own, configured), profiles).decide(facts)
        shown = as_data(decision, language)
        call.output.record(shown)
        describe(call, shown)
        if keep is not None:
            keep_decision(keep, facts, shown)
        return None if isinstance(decision, Allow) else ExitCode.REFUSED


def load(call: Call, partners: Path | None) -> "tuple[Path, PartnerId | None, dict[PartnerId, Profile]]":
    """Return the directory, the home's partner if there is a home, and the profiles.

    Raises:
        ConfigInvalid: The settings of the home or a profile cannot be used.
    """
    from gateway.config import load_config
    from gateway.profiles import load_profiles

    own, directory = None, partners
    if partners is None or (call.home / "concord.toml").exists():
        config = load_config(call.home)
        own, directory = config.partner, partners or config.partners_dir
    if directory is None:
        raise usage("there are no profiles", advice="name their directory with --partners")
    return directory, own, load_profiles(directory)


def policy_of(own: "PartnerId", profiles: "dict[PartnerId, Profile]") -> "CasePolicy":
    """Return the policy of one gateway."""
    from gateway.policy.cases import CasePolicy

    return CasePolicy(own, profiles)


def decider(facts: "Facts", own: str, configured: "PartnerId | None") -> "PartnerId":
    """Return whose gateway decides: named, the home's, or the one that the facts leave.

    Raises:
        Failure: It cannot be told.
    """
    from gateway.ids import PartnerId

    if own:
        return PartnerId.parse(own, "as")
    if configured is not None:
        return configured
    if facts.direction == "outgoing":
        return facts.sender
    if len(facts.recipients) == 1:
        return next(iter(facts.recipients))
    raise usage("whose gateway decides cannot be told from these facts", advice="name it with --as")


def read_facts(data: bytes) -> "Facts":
    """Return the facts of a file.

    Raises:
        Failure: They mean nothing.
    """
    from gateway.errors import GatewayError
    from gateway.policy.facts_file import decode_facts

    try:
        return decode_facts(data)
    except GatewayError as error:
        raise usage(
            "the facts cannot be used", why=error.text, advice="see docs/reference/facts.md", reason=error.reason
        ) from error


def facts_of_alert(call: Call, data: bytes, speaks: str, to: list[str], purpose: str) -> "Facts":
    """Return the facts of a CAP alert that would be sent.

    Raises:
        Failure: It is not said by whom and to whom.
        GatewayError: It is no CAP alert.
    """
    from gateway.cli.connectors import load_connector
    from gateway.clock import SystemClock
    from gateway.config import load_config
    from gateway.ids import AuthorityId, PartnerId
    from gateway.model.header import Kind, Mode
    from gateway.model.message import Body, Handling, Onward, Tlp
    from gateway.policy.facts import Facts, not_applicable
    from gateway.policy.personal_data import has_travel_document
    from gateway.rpc.convert import WireCodec

    if not speaks or not to:
        raise usage("who sends the alert, and to whom?", advice="add --from AUTHORITY and --to PARTNER")
    authority = AuthorityId.parse(speaks, "from")
    recipients = frozenset(PartnerId.parse(partner, "to") for partner in to)
    reading = load_connector("cap").read(data, SystemClock().now_ms())
    has_home = (call.home / "concord.toml").exists()
    mode = reading.mode or Mode.TEST
    operating = load_config(call.home).mode if has_home else mode
    handling = Handling(tlp=Tlp.CLEAR, purpose=purpose, onward=Onward.NONE)
    body = Body(authority=authority, handling=handling, legal_basis=(), content=reading.alert)
    return Facts(
        direction="outgoing",
        kind=Kind.ALERT,
        mode=mode,
        operating_mode=operating,
        operational_queue=mode is Mode.ACTUAL,
        urgency=reading.urgency,
        sender=authority.partner,
        recipients=recipients,
        authority=authority,
        purpose=purpose,
        legal_bases=frozenset(),
        bound_purposes=frozenset(),
        originators=frozenset(),
        originator_consents=frozenset(),
        personal_data=has_travel_document(reading.alert, WireCodec().encode_body(body)),
        **not_applicable(Kind.ALERT),
        drafters=frozenset(),
        executors=frozenset(),
        approvals=(),
        sources=2,
        translation="none",
        foreign_signature="none",
        retention_days=1,
    )


def check_language(language: str) -> None:
    """Refuse a language without words.

    Raises:
        Failure: It is not one of the ten.
    """
    from gateway.policy.catalogue import LANGUAGES

    if language not in LANGUAGES:
        raise usage(f"there are no words in '{language}'", advice=f"choose one of {' '.join(LANGUAGES)}")


def officers(number: int, roles: "frozenset[str]") -> str:
    """Return who has to decide, as people read it."""
    return f"{number} of {' or '.join(sorted(roles))}"


def as_data(decision: "Decision", language: str) -> dict[str, Any]:
    """Return a decision as plain data, with the words of its rules."""
    from gateway.policy.catalogue import words_for
    from gateway.policy.decision import Deny, Hold

    def told(rule: str) -> dict[str, str]:
        words = words_for(rule, language)
        return {"rule": rule} | ({"what": words.what, "why": words.why, "do": words.remedy} if words else {})

    needs = decision.needs if isinstance(decision, Hold) else ()
    warnings = () if isinstance(decision, Deny) else decision.warnings
    return {
        "verdict": type(decision).__name__.lower(),
        "explanation": decision.explanation,
        "rules": [told(rule) for rule in decision.rule_ids],
        "needs": [
            {"rule": need.rule_id, "roles": sorted(need.roles), "number": need.number, "decided": need.decided}
            for need in needs
        ],
        "warnings": [told(rule) for rule in warnings],
    }


def describe(call: Call, data: dict[str, Any]) -> None:
    """Tell a person about a decision."""
    call.output.fields([("verdict", data["verdict"].upper()), ("because", data["explanation"])])
    needs = {need["rule"]: need for need in data["needs"]}
    for name, rules in (("rule", data["rules"]), ("warning", data["warnings"])):
        for told in rules:
            if "what" not in told and told["rule"] not in needs:
                continue
            call.output.text()
            need = needs.get(told["rule"])
            call.output.fields(
                [
                    (name, told["rule"]),
                    *((key, told[key]) for key in ("what", "why", "do") if key in told),
                    *(
                        (("needs", f"{officers(need['number'], need['roles'])}; {need['decided']} so far"),)
                        if need
                        else ()
                    ),
                ]
            )


def keep_decision(file: Path, facts: "Facts", shown: dict[str, Any]) -> None:
    """Add a line to a file of decisions.

    Raises:
        Failure: It cannot be written.
    """
    from gateway.policy.facts_file import facts_as_json

    line = {
        "facts": facts_as_json(facts),
        "verdict": shown["verdict"],
        "rules": [told["rule"] for told in shown["rules"]],
    }
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    except OSError as error:
        raise Failure(
            f"{visible(str(file))} cannot be written",
            why=str(error.strerror),
            reason="FILE_UNREADABLE",
            code=ExitCode.USAGE,
        ) from error
