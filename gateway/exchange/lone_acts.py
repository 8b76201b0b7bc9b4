"""What a draft asks for, in the words of acts that one officer may do alone, and who is on duty to do them."""

from typing import Final

from gateway.exchange.officers import Officer
from gateway.model.alert import Alert, AlertType
from gateway.model.assistance import Request
from gateway.model.message import Content
from gateway.model.referral import Referral
from gateway.workflow.alone import LoneAct
from gateway.workflow.roster import OnDuty

NO_ROSTER: Final = "standing"
"""Name of the desk and post of duty leads where no roster is kept."""
_UNLISTED: Final = "other"


def acts_of(content: Content) -> frozenset[str]:
    """Return every act that a content asks for; one that is on no list has a word that is on none either."""
    match content:
        case Referral():
            return frozenset(ask.name.lower() for ask in content.asks)
        case Request():
            return frozenset(measure.measure_type.name.lower() for measure in content.measures)
        case Alert():
            cancels = content.alert_type is AlertType.CANCEL
            return frozenset({LoneAct.CANCEL_ALERT if cancels else LoneAct.ISSUE_ALERT})
        case _:
            return frozenset({_UNLISTED})


def standing_duty(officer: Officer, now_ms: int) -> OnDuty | None:
    """Return the watch of a duty lead where no roster is kept; None for anybody else."""
    if "duty_lead" not in officer.roles:
        return None
    return OnDuty(
        desk=NO_ROSTER,
        at_ms=now_ms,
        officer=officer.officer_id,
        post=NO_ROSTER,
        until_ms=now_ms + 1,
        order=(officer.officer_id,),
    )
