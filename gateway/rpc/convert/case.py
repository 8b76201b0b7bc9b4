"""Referrals, requests, operations and what follows them: proto to model and back."""

from typing import Any, Final

from concord.v1 import assistance_pb2, case_pb2, operation_pb2, referral_pb2
from google.protobuf.message import Message

from gateway.model.assistance import Request
from gateway.model.case import (
    Answer,
    CaseDecision,
    Recall,
    RecallConfirmation,
    Update,
    UseReport,
    Withdrawal,
)
from gateway.model.message import CaseContent
from gateway.model.operation import Operation
from gateway.model.referral import Referral
from gateway.rpc.convert.mirror import Mirror

_MIRRORS: Final[dict[str, tuple[type[Any], Mirror[Any, Any]]]] = {
    "referral": (Referral, Mirror(Referral, referral_pb2.Referral)),
    "request": (Request, Mirror(Request, assistance_pb2.Request)),
    "update": (Update, Mirror(Update, case_pb2.Update)),
    "answer": (Answer, Mirror(Answer, case_pb2.Answer)),
    "recall": (Recall, Mirror(Recall, case_pb2.Recall)),
    "operation": (Operation, Mirror(Operation, operation_pb2.Operation)),
    "decision": (CaseDecision, Mirror(CaseDecision, case_pb2.CaseDecision)),
    "withdrawal": (Withdrawal, Mirror(Withdrawal, case_pb2.Withdrawal)),
    "use_report": (UseReport, Mirror(UseReport, case_pb2.UseReport)),
    "recall_confirmation": (RecallConfirmation, Mirror(RecallConfirmation, case_pb2.RecallConfirmation)),
}
"""By the name in Body.content."""
_NAMES: Final = {model: name for name, (model, _) in _MIRRORS.items()}


def case_from_proto(name: str, message: Message, at: str) -> CaseContent:
    """Return the content that has this name in Body.content.

    Raises:
        FieldInvalid: Something that must be stated is not, or has a number that this version does not know.
    """
    content: CaseContent = _MIRRORS[name][1].from_proto(message, at)
    return content


def case_to_proto(content: CaseContent) -> tuple[str, Message]:
    """Return the content's name in Body.content, and the content as it travels."""
    name = _NAMES[type(content)]
    message: Message = _MIRRORS[name][1].to_proto(content)
    return name, message
