"""Requests with several measures between two sides whose messages cross: whatever they do, they agree in the end."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import StateConflict
from gateway.workflow import measure, request
from gateway.workflow.measure import Course, MeasureState
from gateway.workflow.request import Stage, StageEvent
from gateway.workflow.table import Cause, Side

OURS = (Cause.OFFICER, Cause.CLOCK)
OTHER = {Side.SENDER: Side.RECEIVER, Side.RECEIVER: Side.SENDER}
PICK = st.integers(0, 1000)


class Requests(RuleBasedStateMachine):
    """Two sides from the moment a request is sent."""

    @initialize(courses=st.lists(st.sampled_from(Course), min_size=1, max_size=4))
    def send(self, courses):
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

    @rule(side=st.sampled_from(Side), pick=PICK)
    def act(self, side, pick):
        choices = self.possible(side)
        if not choices:
            return
        event, cause, number = choices[pick % len(choices)]
        mine = self.sides[side]
        try:
            after = request.step(mine, event, cause) if number is None else request.decide(mine, number, event, cause)
        except StateConflict as error:
            # Refused by what holds for the request as a whole, and it says what is possible.
            assert "possible" in error.text or "nothing is owed" in error.text
            return
        machine = (
            request.MACHINES[OTHER[side]]
            if number is None
            else measure.MACHINES[mine.measures[number].course, OTHER[side]]
        )
        self.become(side, after)
        if Cause.PARTNER in machine.causes.get(event, ()):
            self.under_way[OTHER[side]].append((event, number))

    @rule(cause=st.sampled_from(OURS))
    def withdraw(self, cause):
        mine = self.sides[Side.SENDER]
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
                assert not request.use_report_owed(mine)

    def teardown(self):
        if not hasattr(self, "sides"):
            return
        if self.receipt:
            self.deliver_receipt()
        while any(self.under_way.values()):
            for side in Side:
                self.deliver(side)
        one, two = self.sides[Side.SENDER], self.sides[Side.RECEIVER]
        assert [item.state for item in one.measures] == [item.state for item in two.measures]
        # Nothing is told of receipt by way of officers, so the sender may know less of the first steps.
        if one.stage >= Stage.ACKNOWLEDGED:
            assert one.stage is two.stage
            assert one.word == two.word
        assert {item.disclosed for item in one.measures} == {item.disclosed for item in two.measures}


Requests.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None, derandomize=True)
TestRequests = Requests.TestCase
