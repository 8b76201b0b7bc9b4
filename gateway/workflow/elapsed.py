"""What time itself brings about: the only events whose cause is the clock, and the instants at which they come.

Silence counts from when the other side had the word it is silent about, as its receipt says. While a link is down
nobody is silent, and no consultation is over that was never heard.
"""

from gateway.model.header import Urgency
from gateway.workflow.clocks import Rung, Targets, silence_due_ms
from gateway.workflow.measure import HELD, MeasureEvent, MeasureState
from gateway.workflow.operation import LEAVING_MS, MemberEvent, MemberState
from gateway.workflow.referral import ReferralEvent, ReferralState
from gateway.workflow.request import Stage, StageEvent


def referral(state: ReferralState, heard_ms: int | None, expire_ms: int, now_ms: int) -> ReferralEvent | None:
    """Return what time does to a referral.

    Args:
        state: Where it stands.
        heard_ms: When its sender had the outcome; None: it has not, as far as is known here.
        expire_ms: When the message that carries it expires.
        now_ms: The time.
    """
    if state is ReferralState.RESOLVED and heard_ms is not None and now_ms >= silence_due_ms(heard_ms):
        return ReferralEvent.SILENCE
    if state is ReferralState.SENT and now_ms >= expire_ms:
        return ReferralEvent.FAIL
    return None


def stage(state: Stage, expire_ms: int, now_ms: int) -> StageEvent | None:
    """Return what time does to a request as a whole."""
    return StageEvent.FAIL if state is Stage.TRANSMITTED and now_ms >= expire_ms else None


def measure(
    state: MeasureState, of: Targets, urgency: Urgency, *, heard_ms: int | None, until_ms: int | None, now_ms: int
) -> MeasureEvent | None:
    """Return what time does to a measure, with the side that was asked.

    Args:
        state: Where it stands.
        of: The agreement's targets.
        urgency: Of the thread.
        heard_ms: When the side that asked had the consultation; None: it has not, as far as is known here.
        until_ms: Until when it is postponed or its data are held; None: neither.
        now_ms: The time.
    """
    if state is MeasureState.CONSULTATION:
        due_ms = None if heard_ms is None else heard_ms + of.ms(Rung.INFORMATION, urgency)
        return MeasureEvent.WAITED if due_ms is not None and now_ms >= due_ms else None
    if until_ms is None or now_ms < until_ms:
        return None
    if state is MeasureState.POSTPONED:
        return MeasureEvent.RESUME
    return MeasureEvent.LAPSE if state in HELD else None


def member(state: MemberState, heard_ms: int | None, now_ms: int) -> MemberEvent | None:
    """Return what time does to a membership.

    Args:
        state: Where it stands.
        heard_ms: When the owner had the word that the member leaves; None: it has not, as far as is known here.
        now_ms: The time.
    """
    if state is MemberState.LEAVING and heard_ms is not None and now_ms >= heard_ms + LEAVING_MS:
        return MemberEvent.SILENCE
    return None
