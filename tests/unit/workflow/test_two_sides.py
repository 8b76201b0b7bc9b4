"""Two sides act at once and their messages cross: every order in which that can happen, tried out.

Each direction keeps its order, as threads do; receipts come when they come. At every instant either side may act, or
one message arrive. An honest partner's message is never refused, and when nothing is under way both sides agree.
"""

import dataclasses
from collections import deque

import pytest

from gateway.workflow import measure, operation, recall, referral
from gateway.workflow.measure import Course
from gateway.workflow.operation import MemberEvent, MemberState
from gateway.workflow.referral import ReferralEvent, ReferralState
from gateway.workflow.table import Cause, Side

IN_FLIGHT = 5
"""Messages under way in one direction, at most: more than any chain of acts without an answer."""
OURS = (Cause.OFFICER, Cause.SYSTEM, Cause.CLOCK)


def told(event, other):
    """Whether the other side hears of an act."""
    return Cause.PARTNER in other.causes.get(event, ())


def acts(machine, state):
    return {event for cause in OURS for event in machine.possible(state, cause)}


def caused(machine, state, event):
    return next(cause for cause in OURS if event in machine.possible(state, cause))


def successors(world, sender, receiver, receipt):
    """Yield what may happen next. A world: both states, what is under way each way, and whether a receipt is."""
    one, two, to_two, to_one, receipts = world
    for event in acts(sender, one):
        out = (*to_two, event) if told(event, receiver) else to_two
        if len(out) <= IN_FLIGHT:
            yield sender.step(one, event, caused(sender, one, event)), two, out, to_one, receipts
    for event in acts(receiver, two):
        out = (*to_one, event) if told(event, sender) else to_one
        if len(out) <= IN_FLIGHT:
            yield one, receiver.step(two, event, caused(receiver, two, event)), to_two, out, receipts
    if to_two:
        yield one, receiver.step(two, to_two[0], Cause.PARTNER), to_two[1:], to_one, receipts
    if to_one:
        yield sender.step(one, to_one[0], Cause.PARTNER), two, to_two, to_one[1:], receipts
    if receipts:
        yield sender.step(one, receipt, Cause.PARTNER), two, to_two, to_one, False


def explore(sender, receiver, start, receipt=None):
    """Return every world that can come about from a start."""
    found, todo = {start}, deque([start])
    while todo:
        for after in successors(todo.popleft(), sender, receiver, receipt):
            if after not in found:
                found.add(after)
                todo.append(after)
    return found


def settled(world, sender, receiver):
    """Both states when nothing is under way, and the clock has had its say on both sides."""
    states = []
    for machine, state in ((sender, world[0]), (receiver, world[1])):
        silence = [event for event in machine.possible(state, Cause.CLOCK) if event.name == "SILENCE"]
        states.append(machine.step(state, silence[0], Cause.CLOCK) if silence else state)
    return states


CASES = {
    "referral": (
        referral.SENDER,
        referral.RECEIVER,
        (ReferralState.SENT, ReferralState.RECEIVED, (), (), True),
        ReferralEvent.RECEIVE,
    ),
    **{
        f"measure, {course.value}": (
            measure.MACHINES[course, Side.SENDER],
            measure.MACHINES[course, Side.RECEIVER],
            (measure.MeasureState.UNDER_REVIEW, measure.MeasureState.UNDER_REVIEW, (), (), False),
            None,
        )
        for course in Course
    },
    "membership": (
        operation.MEMBER_AT_OWNER,
        operation.MEMBER_AT_MEMBER,
        (MemberState.NONE, MemberState.NONE, (), (), False),
        None,
    ),
    "operation": (
        operation.OWNER,
        operation.FOLLOWER,
        (operation.OperationState.OPEN, operation.OperationState.OPEN, (), (), False),
        None,
    ),
    "recall": (
        recall.SENDER,
        recall.RECEIVER,
        (recall.RecallState.ASKED, recall.RecallState.ASKED, (), (), False),
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_honest_sides_never_refuse_one_another_and_agree_in_the_end(name):
    sender, receiver, start, receipt = CASES[name]
    worlds = explore(sender, receiver, start, receipt)
    quiet = [world for world in worlds if not world[2] and not world[3] and not world[4]]
    assert len(quiet) >= 3
    apart = {tuple(state.word for state in settled(world, sender, receiver)) for world in quiet}
    assert {pair for pair in apart if pair[0] != pair[1]} == set()


@pytest.mark.parametrize("name", CASES)
def test_every_state_and_every_late_act_that_is_listed_comes_about(name):
    sender, receiver, start, receipt = CASES[name]
    worlds = explore(sender, receiver, start, receipt)
    for machine, seat in ((sender, 0), (receiver, 1)):
        met = {world[seat] for world in worlds}
        assert met == dataclasses.replace(machine, start=start[seat]).reachable()
        late = {(world[seat], world[3 - seat][0]) for world in worlds if world[3 - seat]}
        if receipt is not None and seat == 0:
            late |= {(world[0], receipt) for world in worlds if world[4]}
        listed = {(state, event) for state, events in machine.crossed.items() for event in events}
        assert listed - late == set()


def test_a_membership_that_ended_is_never_taken_up_again():
    for machine in operation.MEMBERS.values():
        for state in (MemberState.LEFT, MemberState.REMOVED, MemberState.DECLINED, MemberState.REFUSED):
            reached = set(machine.rows[state].values())
            assert reached <= {MemberState.REMOVED, MemberState.DECLINED}
            assert MemberEvent.JOIN not in machine.rows[state]
