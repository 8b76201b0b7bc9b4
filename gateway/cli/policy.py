"""concord policy: what the rules say, and what they would say. Needs no running gateway."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import policy_apply, policy_compare, policy_try
from gateway.cli.call import Call, command
from gateway.cli.failure import usage
from gateway.cli.output import visible

if TYPE_CHECKING:
    from gateway.ids import PartnerId
    from gateway.model.partner import Profile
    from gateway.policy.cedar import Rule

_FILES: Final = ("blocks.cedar", "holds.cedar", "warnings.cedar")


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Check and try safeguards and agreements; see what a change does.")
    application.add_typer(group, name="policy")

    @command(group, "check")
    def check(call: Call, partners: policy_try.PartnersOption = None) -> None:
        """Check safeguards and all agreements with their conditions, and say which are in force on both sides."""
        from gateway.policy.cedar import safeguards

        directory, own, profiles = policy_try.load(call, partners)
        policy_try.policy_of(own or next(iter(profiles)), profiles)
        counts = {
            outcome: sum(rule.outcome == outcome for rule in safeguards().rules.values())
            for outcome in ("deny", "hold", "warn")
        }
        agreements = list(agreements_of(profiles))
        warnings = list(one_sided(profiles))
        call.output.record(
            {
                "ok": True,
                "partners": str(directory),
                "profiles": sorted(str(partner) for partner in profiles),
                "rules": counts,
                "agreements": agreements,
                "warnings": warnings,
            }
        )
        call.output.fields(
            [
                ("rules", f"{counts['deny']} that forbid, {counts['hold']} that hold, {counts['warn']} that warn"),
                ("profiles", " ".join(sorted(str(partner) for partner in profiles))),
                *(
                    (
                        "agreement",
                        f"{item['id']}  {' '.join(item['partners'])}  {' '.join(item['kinds'])}"
                        + (f"  with {item['conditions']} of its own" if item["conditions"] else ""),
                    )
                    for item in agreements
                ),
                *(("warning", warning) for warning in warnings),
            ]
        )

    policy_try.add(group)

    @command(group, "explain")
    def explain(
        call: Call,
        rule: Annotated[
            str, typer.Argument(help="As in a decision, hold/h4-minor; or its short name, h4.", metavar="[RULE]")
        ] = "",
        language: policy_try.LanguageOption = "en",
        partners: policy_try.PartnersOption = None,
    ) -> None:
        """Say in words what a rule forbids or holds, why, what to do, and how it is written. Without RULE, list all."""
        from gateway.policy.cedar import safeguards

        policy_try.check_language(language)
        shipped = safeguards().rules
        if not rule:
            rows = [shown(item, language) for item in shipped.values()]
            for row in rows:
                call.output.record(row)
            call.output.table(
                ("rule", "what it does", "about"),
                [(row["rule"], row["outcome"], row["what"]) for row in rows],
                "there is no rule",
            )
            return
        found = shipped.get(rule) or next((item for item in shipped.values() if short_name(item.id) == rule), None)
        if found is not None:
            data = shown(found, language) | {"text": text_of(found.id)}
        else:
            data = of_agreement(call, partners, rule, language)
        call.output.record(data)
        call.output.fields(
            [
                (name, str(data[key]))
                for name, key in (("rule", "rule"), ("does", "outcome"), ("what", "what"), ("why", "why"), ("do", "do"))
                if data.get(key)
            ]
        )
        if data.get("needs"):
            call.output.fields([("needs", str(data["needs"]))])
        call.output.text()
        for line in str(data.get("text", "")).splitlines():
            call.output.text("  " + visible(line))

    policy_compare.add(group)
    policy_apply.add(group)


def agreements_of(profiles: "dict[PartnerId, Profile]") -> Iterator[dict[str, Any]]:
    """Yield what is in force, an agreement at a time."""
    from gateway.policy.cedar import parse_conditions

    found: dict[str, dict[str, Any]] = {}
    for partner, profile in sorted(profiles.items()):
        for agreement in profile.agreements:
            names = {other for other in agreement.partners if _lists(profiles, other, agreement.id, partner)}
            if not names:
                continue
            entry = found.setdefault(agreement.id, {"partners": set(), "kinds": None, "conditions": set()})
            entry["partners"] |= {str(partner), *map(str, names)}
            kinds = {kind.name.lower() for kind in agreement.kinds}
            entry["kinds"] = kinds if entry["kinds"] is None else entry["kinds"] & kinds
            if agreement.conditions:
                entry["conditions"] |= set(parse_conditions(agreement.id, agreement.conditions).rules)
    for name, entry in sorted(found.items()):
        yield {
            "id": name,
            "partners": sorted(entry["partners"]),
            "kinds": sorted(entry["kinds"]),
            "conditions": len(entry["conditions"]),
            "rules": sorted(entry["conditions"]),
        }


def one_sided(profiles: "dict[PartnerId, Profile]") -> Iterator[str]:
    """Yield what one side lists and the other does not: it is without effect."""
    for partner, profile in sorted(profiles.items()):
        for agreement in profile.agreements:
            for other in sorted(agreement.partners):
                if other not in profiles:
                    yield f"{partner} lists {agreement.id} with {other}, which has no profile here"
                elif not _lists(profiles, other, agreement.id, partner):
                    yield f"{partner} lists {agreement.id} with {other}, which does not list it with {partner}"


def _lists(profiles: "dict[PartnerId, Profile]", partner: "PartnerId", agreement: str, other: "PartnerId") -> bool:
    profile = profiles.get(partner)
    return profile is not None and any(item.id == agreement and other in item.partners for item in profile.agreements)


def shown(rule: "Rule", language: str) -> dict[str, Any]:
    """Return a rule as plain data, in words."""
    from gateway.policy.catalogue import words_for

    words = words_for(rule.id, language)
    return {
        "rule": rule.id,
        "outcome": {"deny": "forbids", "hold": "holds", "warn": "warns"}[rule.outcome],
        "what": words.what if words else "",
        "why": words.why if words else rule.why,
        "do": words.remedy if words else "",
        "needs": policy_try.officers(rule.number, rule.roles) if rule.outcome == "hold" else "",
    }


def short_name(rule: str) -> str:
    """Return 'h4' for hold/h4-minor."""
    return rule.partition("/")[2].partition("-")[0]


def text_of(rule: str) -> str:
    """Return a rule that ships as it is written."""
    from gateway.policy.cedar import safeguard_text

    for name in _FILES:
        for part in _rules_of(safeguard_text(name)):
            if f'@id("{rule}")' in part:
                return part
    return ""


def _rules_of(text: str) -> Iterable[str]:
    """Split a file at its empty lines, where its rules end."""
    return [part.strip() for part in text.split("\n\n")]


def of_agreement(call: Call, partners: Path | None, rule: str, language: str) -> dict[str, Any]:
    """Return a condition of an agreement, or what an agreement asks of every exchange.

    Raises:
        Failure: There is no such rule.
    """
    from gateway.policy.catalogue import words_for
    from gateway.policy.cedar import parse_conditions

    words = words_for(rule, language)
    if words is not None:
        return {"rule": rule, "outcome": "", "what": words.what, "why": words.why, "do": words.remedy, "needs": ""}
    if rule.count("/") == 2:
        _, _, profiles = policy_try.load(call, partners)
        for partner, profile in sorted(profiles.items()):
            for agreement in profile.agreements:
                if not agreement.conditions or not rule.startswith(f"agreement/{agreement.id}/"):
                    continue
                found = parse_conditions(agreement.id, agreement.conditions).rules.get(rule)
                if found is not None:
                    return shown(found, language) | {"text": agreement.conditions.strip(), "listed_by": str(partner)}
    raise usage(f"there is no rule '{rule}'", advice="`concord policy explain` lists the rules", reason="NOT_FOUND")
