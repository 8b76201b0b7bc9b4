"""Rules in Cedar, read and asked.

Every rule is a `forbid`, and one permission of our own stands beside them: what Cedar names as reasons of a refusal are
then all the rules that fired, and no text can permit anything. Text of an agreement is a set of its own, asked by
itself: it never meets the safeguards, whatever it says and however it names its rules.

Cedar skips a rule whose evaluation fails, and answers 'no decision' to what does not fit the schema. Both are
`Undecided` here: whoever asks does not allow.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import cedarpy

from gateway.errors import FieldInvalid

Outcome = Literal["deny", "hold", "warn"]
MAX_TEXT_BYTES: Final = 16 * 1024
"""Of one agreement's conditions; a rule has about two hundred bytes."""
MAX_BRACKETS: Final = 200
"""Opening brackets in one text. Cedar's parser recurses on each and 1,000 end the process (measured); 400 do not."""
MAX_OFFICERS: Final = 5
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_ROLES: Final = frozenset({"approver", "duty_lead"})
_ANNOTATIONS: Final = frozenset({"id", "outcome", "roles", "number", "why"})
_MAX_WHY: Final = 512
_PERMISSION: Final = "concord/permission"
_SCOPE: Final = ("principal", "action", "resource")
_ACTIONS: Final = {"outgoing": "send", "incoming": "receive", "use": "use"}
_SHIPPED: Final[tuple[tuple[str, Outcome], ...]] = (("blocks", "deny"), ("holds", "hold"), ("warnings", "warn"))


class Undecided(Exception):
    """Cedar could not say which rules fire."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and what follows when it fires."""

    id: str
    outcome: Outcome
    roles: frozenset[str]
    """Of a hold: who may decide."""
    number: int
    """Of a hold: how many officers."""
    why: str
    """In the words of whoever wrote it; empty for rules that ship, whose words are in the catalogue."""


class RuleSet:
    """Rules that are asked together."""

    def __init__(self, rules: Mapping[str, Rule], policies: Mapping[str, Any]) -> None:
        self.rules = dict(rules)
        permission = {"effect": "permit", "conditions": [], **{word: {"op": "All"} for word in _SCOPE}}
        every = {**policies, _PERMISSION: permission}
        text = json.dumps({"staticPolicies": every, "templates": {}, "templateLinks": []})
        self._policies = cedarpy.PolicySet.from_json_str(text)

    def fired(self, direction: str, sender: str, context: Mapping[str, Any]) -> tuple[Rule, ...]:
        """Return the rules whose conditions hold, in order of their ids.

        Raises:
            Undecided: The context does not fit the schema, or a rule could not be evaluated.
        """
        request = {
            "principal": {"type": "Concord::Partner", "id": sender},
            "action": {"type": "Concord::Action", "id": _ACTIONS[direction]},
            "resource": {"type": "Concord::Message", "id": "this"},
            "context": dict(context),
        }
        answer = cedarpy.is_authorized(request, self._policies, "[]", _schema())
        reasons = set(answer.diagnostics.reasons)
        if answer.diagnostics.errors or not reasons:
            raise Undecided("; ".join(map(str, answer.diagnostics.errors)) or "no decision")
        if answer.decision is cedarpy.Decision.Allow:
            return ()
        if answer.decision is not cedarpy.Decision.Deny or not reasons <= self.rules.keys():
            raise Undecided("an answer that no rule explains")
        return tuple(self.rules[name] for name in sorted(reasons))


@cache
def safeguards() -> RuleSet:
    """Return the rules that ship with Concord."""
    rules: dict[str, Rule] = {}
    policies: dict[str, Any] = {}
    for name, outcome in _SHIPPED:
        for policy in _read(safeguard_text(f"{name}.cedar"), "safeguards"):
            rule = _rule(policy["annotations"], policy["annotations"]["id"], outcome)
            rules[rule.id] = rule
            policies[rule.id] = policy
    return RuleSet(rules, policies)


def safeguard_text(name: str) -> str:
    """Return a file of the rules that ship."""
    return resources.files("gateway.policy.safeguards").joinpath(name).read_text(encoding="utf-8")


def parse_conditions(agreement: str, text: str) -> RuleSet:
    """Return the conditions of an agreement; its rules are named agreement/<agreement>/<id>.

    Raises:
        FieldInvalid: It is too long or too deep, is not Cedar, does not fit the schema, permits something, or an
            annotation is unknown or means nothing.
    """
    rules: dict[str, Rule] = {}
    policies: dict[str, Any] = {}
    for policy in _read(text, "conditions"):
        annotations = policy.get("annotations", {})
        if unknown := sorted(annotations.keys() - _ANNOTATIONS):
            raise FieldInvalid("conditions", f"has the annotation '@{unknown[0]}', which means nothing here")
        short = annotations.get("id")
        if not isinstance(short, str) or not _ID.match(short):
            raise FieldInvalid("conditions", "every rule needs an @id of lower-case letters, digits and hyphens")
        outcome: Outcome
        match annotations.get("outcome", "deny"):
            case "deny" | "hold" | "warn" as word:
                outcome = word
            case _:
                raise FieldInvalid("conditions", f"rule '{short}': @outcome must be deny, hold or warn")
        rule = _rule(annotations, f"agreement/{agreement}/{short}", outcome)
        if rule.id in rules:
            raise FieldInvalid("conditions", f"names the rule '{short}' twice")
        rules[rule.id] = rule
        policies[rule.id] = policy
    return RuleSet(rules, policies)


def _read(text: str, field: str) -> list[dict[str, Any]]:
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise FieldInvalid(field, f"has more than {MAX_TEXT_BYTES} bytes")
    # All of them, closed or not, in comments and texts too: what cannot be fooled needs no parser.
    if sum(map(text.count, "([{")) > MAX_BRACKETS:
        raise FieldInvalid(field, f"has more than {MAX_BRACKETS} opening brackets")
    checked = cedarpy.validate_policies(text, _schema())
    if not checked.validation_passed:
        problem = " ".join(str(checked.errors[0].error).split()) if checked.errors else "does not fit the schema"
        raise FieldInvalid(field, f"is not accepted by Cedar: {problem[:300]}")
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
        # What PolicySet refuses later (nesting) is refused here, where the text is at hand.
        cedarpy.PolicySet.from_json_str(json.dumps(parsed))
    except (ValueError, RecursionError) as error:
        raise FieldInvalid(field, f"is not accepted by Cedar: {str(error)[:300]}") from None
    if parsed["templates"] or parsed["templateLinks"]:
        raise FieldInvalid(field, "has a template; only whole rules are read")
    found: list[dict[str, Any]] = list(parsed["staticPolicies"].values())
    if any(policy["effect"] != "forbid" for policy in found):
        raise FieldInvalid(field, "permits something; conditions can only forbid, hold or warn")
    return found


def _rule(annotations: Mapping[str, Any], name: str, outcome: Outcome) -> Rule:
    roles, number, why = (annotations.get(word) for word in ("roles", "number", "why"))
    if (roles is not None or number is not None) and outcome != "hold":
        raise FieldInvalid("conditions", f"rule '{name}': @roles and @number belong to a hold")
    named = frozenset(word.strip() for word in (roles or "approver,duty_lead").split(","))
    if not named <= _ROLES:
        raise FieldInvalid("conditions", f"rule '{name}': @roles must be of {', '.join(sorted(_ROLES))}")
    count = number or "1"
    if not re.fullmatch(rf"[1-{MAX_OFFICERS}]", count):
        raise FieldInvalid("conditions", f"rule '{name}': @number must be 1 to {MAX_OFFICERS}")
    if why is not None and len(why) > _MAX_WHY:
        raise FieldInvalid("conditions", f"rule '{name}': @why has more than {_MAX_WHY} characters")
    is_hold = outcome == "hold"
    return Rule(name, outcome, named if is_hold else frozenset(), int(count) if is_hold else 0, why or "")


@cache
def _schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(safeguard_text("schema.cedarschema"))
