"""Weeks of one referral between two desks in two zones, on a fake clock, from the fast lane to its end."""

import random
from datetime import UTC, date, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.clock import to_ms
from gateway.errors import StateConflict
from gateway.ids import OfficerId
from gateway.model.header import Urgency
from gateway.workflow import alone, approval, clocks, due, elapsed
from gateway.workflow.approval import ORDINARY, Approved, Draft, Ended, Proposal
from gateway.workflow.clocks import DAY_MS, DEFAULT, HOUR_MS, SILENCE_MS, Standing
from gateway.workflow.referral import MACHINES, ReferralEvent, ReferralState
from gateway.workflow.roster import Crew, Roster, Shift, called, on_duty
from gateway.workflow.table import Cause, Side

E, S = ReferralEvent, ReferralState
OTHER = {Side.SENDER: Side.RECEIVER, Side.RECEIVER: Side.SENDER}
APPROVER = frozenset({"approver"})
DIGEST = b"\x05" * 32
# Chosen evenly: drawn integers would choose the first of everything far too often to get anywhere.
CHANCE = st.randoms(use_true_random=True)
ZONE_NAMES = ["Asia/Yangon", "Asia/Tehran", "Asia/Kathmandu", "Europe/Berlin", "America/Santiago"]
ZONES = st.sampled_from(ZONE_NAMES)
DAYS = [(2026, 3, 27), (2026, 10, 23), (2026, 12, 28)]
HOURS = [1, 2, 5, 23, 24, 24 * 14]
SECOND = OfficerId("o-second")


def desk(name, zone):
    return Roster(
        desk=name,
        leads=(OfficerId(f"{name}-lead"),),
        shifts=tuple(
            Shift(
                post=name,
                zone=zone,
                weekdays=frozenset(range(1, 8)),
                start_minute=start * 60,
                end_minute=(start + 8) % 24 * 60,
                crews=(Crew(OfficerId(f"{name}-{start}"), (OfficerId(f"{name}-{start}-deputy"),)),),
                turn_days=1,
                anchor=date(2026, 1, 1),
            )
            for start in (6, 14, 22)
        ),
    )


class Weeks(RuleBasedStateMachine):
    """A referral from the moment the officer on duty sends it alone."""

    @initialize(
        zones=st.tuples(ZONES, ZONES),
        urgency=st.sampled_from([Urgency.U0, Urgency.U1]),
        day=st.sampled_from(DAYS),
        hour=st.integers(0, 23),
    )
    def send(self, zones, urgency, day, hour):
        self.now = self.start = to_ms(datetime(*day, hour, tzinfo=UTC))
        self.urgency = urgency
        self.desks = {Side.SENDER: desk("home", zones[0]), Side.RECEIVER: desk("away", zones[1])}
        duty = on_duty(self.desks[Side.SENDER], self.now)
        self.proposal = alone.fast_lane(
            Draft(DIGEST, frozenset({duty.officer})), duty, APPROVER, acts=frozenset({"rescue"}), urgency=urgency,
            needed=ORDINARY, claim=None, now_ms=self.now,
        )  # fmt: skip
        self.sender = duty.officer
        self.states = {Side.SENDER: S.SENT, Side.RECEIVER: S.RECEIVED}
        self.histories = {side: [(self.now, state)] for side, state in self.states.items()}
        self.under_way = {Side.SENDER: [(E.RECEIVE, self.now)], Side.RECEIVER: []}
        self.heard = None
        self.evidence = {}

    def become(self, side, event, cause):
        after = MACHINES[side].step(self.states[side], event, cause)
        if after is not self.states[side]:
            self.states[side] = after
            self.histories[side].append((self.now, after))
        if cause is not Cause.PARTNER and Cause.PARTNER in MACHINES[OTHER[side]].causes.get(event, ()):
            self.under_way[OTHER[side]].append((event, self.now))
        if event is E.RESOLVE and side is Side.RECEIVER:
            self.heard = None

    @rule(side=st.sampled_from(Side), chance=CHANCE, slow=st.booleans())
    def act(self, side, chance, slow):
        ends = {E.WITHDRAW, E.DECLINE, E.REDIRECT} if chance.random() < 0.9 else set()
        choices = [event for event in MACHINES[side].possible(self.states[side], Cause.OFFICER) if event not in ends]
        if choices:
            self.become(side, chance.choice(choices), Cause.OFFICER)
        if not slow:
            self.deliver_all()

    def deliver_all(self):
        while any(self.under_way.values()):
            for side in Side:
                self.deliver(side)

    @precondition(lambda self: any(self.under_way.values()))
    @rule(side=st.sampled_from(Side))
    def deliver(self, side):
        if self.under_way[side]:
            event, _ = self.under_way[side].pop(0)
            self.become(side, event, Cause.PARTNER)
            if event is E.RESOLVE:
                # Its receipt tells the other side the same instant.
                self.heard = self.now

    @precondition(lambda self: isinstance(self.proposal, Proposal))
    @rule(officer=st.sampled_from(["sender", "second"]))
    def approve(self, officer):
        who = self.sender if officer == "sender" else SECOND
        try:
            self.proposal = approval.approve(
                self.proposal, who, APPROVER, rules=frozenset({"release"}), digest=DIGEST, claim=None, now_ms=self.now
            )
        except StateConflict:
            assert who == self.sender
        else:
            assert who == SECOND

    @rule(hours=st.sampled_from(HOURS))
    def pass_time(self, hours):
        self.now += hours * HOUR_MS
        if isinstance(self.proposal, Proposal) and (ended := approval.lapse(self.proposal, self.now)):
            self.proposal = ended
            sender = self.states[Side.SENDER]
            if E.WITHDRAW in MACHINES[Side.SENDER].possible(sender, Cause.CLOCK):
                self.become(Side.SENDER, E.WITHDRAW, Cause.CLOCK)
        for side in Side:
            event = elapsed.referral(self.states[side], self.heard, self.start + 30 * DAY_MS, self.now)
            if event is E.SILENCE:
                assert self.now >= self.heard + SILENCE_MS
            if event is not None:
                self.become(side, event, Cause.CLOCK)

    @invariant()
    def what_nobody_approved_in_time_is_withdrawn_unless_it_is_done(self):
        if hasattr(self, "proposal") and isinstance(self.proposal, Ended):
            assert self.now >= self.start + DAY_MS
            open_now = MACHINES[Side.SENDER].open
            reopened = any(state is S.REOPENED for _, state in self.histories[Side.SENDER])
            assert self.states[Side.SENDER] not in open_now or reopened

    @invariant()
    def somebody_is_on_duty_and_is_called_when_time_runs_out(self):
        if not hasattr(self, "states"):
            return
        for side in Side:
            owed = due.dues(
                self.histories[side], due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, DEFAULT, self.urgency, word_ms=None
            )
            for item in owed:
                # Nothing of a referral that may stand still runs when it does.
                assert not isinstance(item.clock, Standing)
                missed = clocks.timed_out(
                    item.rung, self.urgency, item.start_ms, state=item.clock, met_ms=None, now_ms=self.now
                )
                if missed:
                    assert self.evidence.setdefault((side, item.rung, item.start_ms), missed) == missed
                    steps = clocks.escalation(DEFAULT.ms(item.rung, self.urgency), item.clock.due_ms, self.now)
                    owing = self.desks[item.owed_by]
                    assert called(owing, self.now, steps)[0] == on_duty(owing, self.now).officer

    @invariant()
    def it_is_approved_by_another_or_not_at_all(self):
        if hasattr(self, "proposal") and isinstance(self.proposal, Approved):
            assert [item.officer for item in self.proposal.proposal.approvals] == [SECOND]
            assert self.proposal.decide_ms < self.start + DAY_MS

    def teardown(self):
        if not hasattr(self, "states"):
            return
        self.deliver_all()
        self.pass_time(24 * 14)
        self.deliver_all()
        assert self.states[Side.SENDER] is self.states[Side.RECEIVER]


Weeks.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, derandomize=True)
TestWeeks = Weeks.TestCase


def walk(chance):
    """Go a long way that chance decides, and return what came about."""
    world = Weeks()
    world.send(
        zones=(chance.choice(ZONE_NAMES), chance.choice(ZONE_NAMES)),
        urgency=chance.choice([Urgency.U0, Urgency.U1]),
        day=chance.choice(DAYS),
        hour=chance.randrange(24),
    )
    for _ in range(60):
        rule = chance.choices([world.act, world.deliver, world.approve, world.pass_time], [6, 3, 0.5, 2])[0]
        if rule == world.act:
            world.act(side=chance.choice(list(Side)), chance=chance, slow=chance.random() < 0.5)
        elif rule == world.deliver:
            world.deliver(side=chance.choice(list(Side)))
        elif rule == world.pass_time:
            world.pass_time(hours=chance.choices(HOURS, [8, 4, 2, 1, 1, 0.5])[0])
        elif isinstance(world.proposal, Proposal):
            world.approve(officer=chance.choice(["sender", "second"]))
        world.what_nobody_approved_in_time_is_withdrawn_unless_it_is_done()
        world.somebody_is_on_duty_and_is_called_when_time_runs_out()
        world.it_is_approved_by_another_or_not_at_all()
    world.teardown()
    states = {state for side in Side for _, state in world.histories[side]}
    return states, type(world.proposal), bool(world.evidence)


def test_long_walks_come_everywhere_and_keep_what_holds():
    seen = [walk(random.Random(seed)) for seed in range(60)]
    before = {S.DRAFT, S.SUBMITTED, S.APPROVED, S.REJECTED}
    # That a message waits for 30 days may come about or not.
    assert set().union(*(states for states, _, _ in seen)) >= set(S) - before - {S.UNDELIVERED}
    assert {kind for _, kind, _ in seen} == {Approved, Ended}
    assert any(late for _, _, late in seen)
