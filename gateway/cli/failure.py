"""How a command fails: what, why, what to do, a stable reason, and an exit code.

Exit codes are few and stable, so that scripts can branch on them; the reason says the rest.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from gateway import errors


class ExitCode(IntEnum):
    """What a script may rely on."""

    OK = 0
    USAGE = 1
    """The command or its input is wrong."""
    UNREACHABLE = 2
    """The gateway, the partner or the store does not answer, or not now."""
    REFUSED = 3
    """Refused, not verified, or damaged."""
    PARTIAL = 4
    """Some of it worked."""


# Reasons whose cause is the caller's own input. Everything that may pass later is UNREACHABLE; all the rest is REFUSED,
# so that an error nobody thought of never looks like a slip of the keyboard.
INPUT_REASONS: Final = frozenset(
    error.reason
    for error in (
        errors.FieldInvalid,
        errors.FingerprintMistyped,
        errors.MessageMalformed,
        errors.MessageTooLarge,
        errors.ConfigInvalid,
        errors.NotFound,
        errors.StateConflict,
        errors.RequestIdReused,
        errors.PageTokenInvalid,
        errors.CursorInvalid,
        errors.CursorExpired,
        errors.MethodUnimplemented,
    )
)


class Failure(Exception):
    """A command could not do what was asked."""

    def __init__(
        self,
        what: str,
        *,
        reason: str,
        code: ExitCode,
        why: str = "",
        advice: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.advice = advice
        self.reason = reason
        self.code = code
        self.details = dict(details or {})

    def as_json(self) -> dict[str, Any]:
        """Return the object shown under "error"."""
        return {
            "reason": self.reason,
            "message": self.what,
            "why": self.why,
            "advice": self.advice,
            "exit_code": int(self.code),
            "details": self.details,
        }


def exit_code_of(reason: str, retryable: bool) -> ExitCode:
    """Return the exit code for a reason of the error catalogue."""
    if reason in INPUT_REASONS:
        return ExitCode.USAGE
    return ExitCode.UNREACHABLE if retryable else ExitCode.REFUSED


def failure_of(error: errors.GatewayError, what: str = "") -> Failure:
    """Return the failure that shows a gateway error; `what` says what was being done."""
    details: dict[str, Any] = {}
    if isinstance(error, errors.FieldInvalid):
        details["field"] = error.field
    rule_ids = getattr(error, "rule_ids", None)
    if rule_ids:
        details["rule_ids"] = list(rule_ids)
    return Failure(
        what or error.text,
        why=error.text if what else "",
        advice=about_partner(error.advice, getattr(error, "partner", "")),
        reason=error.reason,
        code=exit_code_of(error.reason, error.retryable),
        details=details,
    )


def about_partner(advice: str, partner: str) -> str:
    """Return an error's advice with the partner it is about in its commands."""
    return advice.replace(" PARTNER", f" {partner}") if partner else advice


def usage(what: str, *, why: str = "", advice: str = "", reason: str = "USAGE", **details: Any) -> Failure:
    """Return the failure for a command that was given the wrong thing."""
    return Failure(what, why=why, advice=advice, reason=reason, code=ExitCode.USAGE, details=details)
