"""Requests with several measures between two sides whose messages cross: whatever they do, they agree in the end."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import StateConflict
from gateway.workflow import measure, request
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.request import Stage, StageEvent
from gateway.workflow.table import Cause, Side

OURS = (Cause.OFFICER, Cause.CLOCK)
OTHER = {Side.SENDER: Side.RECEIVER, Side.RECEIVER: Side.SENDER}
# Chosen evenly: drawn integers would choose the first of everything far too often to get anywhere.
CHANCE = st.randoms(use_true_random=True)


class Requests(RuleBasedStateMachine):
    """Two sides from the moment a request is sent."""

    @initialize(courses=st.lists(st.sampled_from(Course), min_size=1, max_size=3), examined=st.booleans())
    def send(self, courses, examined):
        made = request.begin(Side.SENDER, courses)
        for event, cause in (
            (StageEvent.SUBMIT, Cause.OFFICER),
            (StageEvent.APPROVE, Cause.OFFICER),
            (StageEvent.SEND, Cause.SYSTEM),
        ):
            made = request.step(made, event, cause)
        self.sides = {Side.SENDER: made, Side.RECEIVER: request.begin(Side.RECEIVER, courses)}
        self.under_way = {Side.SENDER: [], Side.RECEIVER: []}
        self.receipt = True
        self.history = {side: [[MeasureState.UNDER_REVIEW] for _ in courses] for side in Side}
        for event in (StageEvent.ACKNOWLEDGE, StageEvent.EXAMINE) if examined else ():
            self.sides[Side.RECEIVER] = request.step(self.sides[Side.RECEIVER], event, Cause.OFFICER)
            self.sides[Side.SENDER] = request.step(self.sides[Side.SENDER], event, Cause.PARTNER)

    def become(self, side, after):
        for states, item in zip(self.history[side], after.measures, strict=True):
            if states[-1] is not item.state:
                states.append(item.state)
        self.sides[side] = after

    def possible(self, side):
        """What a side may do by itself, with what it then tells the other side."""
        mine = self.sides[side]
        found = []
        for cause in OURS:
            found += [(event, cause, None) for event in request.MACHINES[side].possible(mine.stage, cause)]
            for number, item in enumerate(mine.measures):
                machine = measure.MACHINES[item.course, side]
                found += [(event, cause, number) for event in machine.possible(item.state, cause)]
        return found

    @rule(side=st.sampled_from(Side), chance=CHANCE, slow=st.booleans())
    def act(self, side, chance, slow):
        choices = self.possible(side)
        if chance.random() < 0.97:
            # Withdrawal is possible almost always, and would end almost everything.
            choices = [item for item in choices if item[0] is not MeasureEvent.WITHDRAW]
        if not choices:
            return
        event, cause, number = chance.choice(choices)
        mine = self.sides[side]
        try:
            after = request.step(mine, event, cause) if number is None else request.decide(mine, number, event, cause)
        except StateConflict as error:
            # Refused by what holds for the request as a whole, and it says what is possible.
            assert "possible" in error.text
            return
        machine = (
            request.MACHINES[OTHER[side]]
            if number is None
            else measure.MACHINES[mine.measures[number].course, OTHER[side]]
        )
        self.become(side, after)
        if Cause.PARTNER in machine.causes.get(event, ()):
            self.under_way[OTHER[side]].append((event, number))
        if not slow:
            self.deliver_all()

    @precondition(lambda self: hasattr(self, "sides"))
    @rule(cause=st.sampled_from(OURS), chance=CHANCE)
    def withdraw(self, cause, chance):
        mine = self.sides[Side.SENDER]
        if chance.random() < 0.9:
            return
        try:
            events = request.withdrawal(mine)
        except StateConflict:
            settled = measure.OPEN | measure.HELD
            assert mine.stage is Stage.CLOSED or not any(item.state in settled for item in mine.measures)
            return
        self.become(Side.SENDER, request.withdraw(mine, cause))
        assert not any(item.state in measure.OPEN | measure.HELD for item in self.sides[Side.SENDER].measures)
        self.under_way[Side.RECEIVER] += [(event, number) for number, event in events]

    @precondition(lambda self: any(self.under_way.values()))
    @rule(side=st.sampled_from(Side))
    def deliver(self, side):
        if self.under_way[side]:
            event, number = self.under_way[side].pop(0)
            mine = self.sides[side]
            # Never raises: an honest partner's message is not refused.
            if number is None:
                self.become(side, request.step(mine, event, Cause.PARTNER))
            else:
                self.become(side, request.decide(mine, number, event, Cause.PARTNER))

    def deliver_all(self):
        while any(self.under_way.values()):
            for side in Side:
                self.deliver(side)

    @precondition(lambda self: self.receipt)
    @rule()
    def deliver_receipt(self):
        self.receipt = False
        mine = self.sides[Side.SENDER]
        self.become(Side.SENDER, request.step(mine, StageEvent.RECEIVE, Cause.PARTNER))

    @invariant()
    def refused_only_after_consultation_and_executed_only_after_approval(self):
        if not hasattr(self, "sides"):
            return
        for states in (states for side in Side for states in self.history[side]):
            if MeasureState.REFUSED in states:
                assert {MeasureState.CONSULTATION, MeasureState.CONSULTED} <= set(states)
            if MeasureState.EXECUTING in states:
                assert {MeasureState.APPROVED, MeasureState.CONDITIONS_ACCEPTED} & set(states)

    @invariant()
    def the_word_is_that_of_the_stage_or_of_a_measure(self):
        if not hasattr(self, "sides"):
            return
        for mine in self.sides.values():
            words = {item.state.word for item in mine.measures}
            assert mine.word in {mine.stage.word, "withdrawn"} | words | {"partly_answered"}
            open_words = {item.state.word for item in mine.measures if item.state in measure.OPEN}
            if mine.stage is Stage.UNDER_REVIEW and open_words:
                assert mine.word in open_words | {"partly_answered"}
            if mine.stage is Stage.CLOSED:
                assert not open_words

    def teardown(self):
        if not hasattr(self, "sides"):
            return
        if self.receipt:
            self.deliver_receipt()
        self.deliver_all()
        one, two = self.sides[Side.SENDER], self.sides[Side.RECEIVER]
        assert [item.state for item in one.measures] == [item.state for item in two.measures]
        # Nothing is told of receipt by way of officers, so the sender may know less of the first steps.
        if one.stage >= Stage.ACKNOWLEDGED:
            assert one.stage is two.stage
            assert one.word == two.word
        assert {item.disclosed for item in one.measures} == {item.disclosed for item in two.measures}


Requests.TestCase.settings = settings(max_examples=40, stateful_step_count=60, deadline=None, derandomize=True)
TestRequests = Requests.TestCase


def walk(chance):
    """Go a long way that chance decides, and return the states that its measures had on either side."""
    world = Requests()
    world.send(courses=chance.choices(list(Course), k=chance.randint(1, 3)), examined=chance.random() < 0.8)
    for _ in range(120):
        side = chance.choice(list(Side))
        rule = chance.choices([world.act, world.withdraw, world.deliver, world.deliver_receipt], [6, 0.2, 3, 0.2])[0]
        if rule == world.act:
            world.act(side=side, chance=chance, slow=chance.random() < 0.5)
        elif rule == world.withdraw:
            world.withdraw(cause=chance.choice(OURS), chance=chance)
        elif rule == world.deliver:
            world.deliver(side=side)
        elif world.receipt:
            world.deliver_receipt()
        world.refused_only_after_consultation_and_executed_only_after_approval()
        world.the_word_is_that_of_the_stage_or_of_a_measure()
    world.teardown()
    words = {side: {world.sides[side].word} for side in Side}
    return {side: ({state for states in world.history[side] for state in states}, words[side]) for side in Side}


def test_long_walks_come_everywhere_and_keep_what_holds():
    seen = [walk(random.Random(seed)) for seed in range(150)]
    for side in Side:
        assert set().union(*(states for one in seen for states, _ in [one[side]])) == set(MeasureState)
        words = set().union(*(words for one in seen for _, words in [one[side]]))
        assert {"closed", "withdrawn", "refused"} <= words
