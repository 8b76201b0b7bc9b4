"""Which rules a case's content keeps, by what it is."""

from collections.abc import Callable
from typing import Any, Final

from gateway.model.assistance import Request
from gateway.model.assistance_rules import check_request
from gateway.model.case import Answer, CaseDecision, Recall, RecallConfirmation, Update, UseReport, Withdrawal
from gateway.model.case_rules import (
    check_answer,
    check_decision,
    check_operation,
    check_recall,
    check_recall_confirmation,
    check_update,
    check_use_report,
    check_withdrawal,
)
from gateway.model.message import CaseContent
from gateway.model.operation import Operation
from gateway.model.referral import Referral
from gateway.model.referral_rules import check_referral
from gateway.model.wording import check_wording

CONTENT_NAMES: Final[dict[type, str]] = {
    Referral: "referral",
    Request: "request",
    Operation: "operation",
    Update: "update",
    Answer: "answer",
    CaseDecision: "decision",
    Withdrawal: "withdrawal",
    UseReport: "use_report",
    Recall: "recall",
    RecallConfirmation: "recall_confirmation",
}
"""Under what name a content stands in the body."""
_CHECKS: Final[dict[type, Callable[[Any, str], None]]] = {
    Referral: check_referral,
    Request: check_request,
    Operation: check_operation,
    Update: check_update,
    Answer: check_answer,
    CaseDecision: check_decision,
    Withdrawal: check_withdrawal,
    UseReport: check_use_report,
    Recall: check_recall,
    RecallConfirmation: check_recall_confirmation,
}


def check_case(content: CaseContent, at: str) -> None:
    """Check the content of a case; at is the path of the body.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    here = f"{at}.{CONTENT_NAMES[type(content)]}"
    check_wording(content, here)
    _CHECKS[type(content)](content, here)
