"""What holds for a request as a whole: its word, its withdrawal and its closing."""

import itertools

import pytest

from gateway.errors import FieldInvalid, NotFound, StateConflict
from gateway.workflow import measure, request
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.request import END_ORDER, OPEN_ORDER, Stage, StageEvent, word_of
from gateway.workflow.table import Cause, Side

E, M = MeasureEvent, MeasureState


def under_review(side, *courses):
    made = request.begin(side, courses)
    path = {
        Side.SENDER: [
            (StageEvent.SUBMIT, Cause.OFFICER),
            (StageEvent.APPROVE, Cause.OFFICER),
            (StageEvent.SEND, Cause.SYSTEM),
            (StageEvent.RECEIVE, Cause.PARTNER),
            (StageEvent.ACKNOWLEDGE, Cause.PARTNER),
            (StageEvent.EXAMINE, Cause.PARTNER),
        ],
        Side.RECEIVER: [(StageEvent.ACKNOWLEDGE, Cause.OFFICER), (StageEvent.EXAMINE, Cause.OFFICER)],
    }
    for event, cause in path[side]:
        made = request.step(made, event, cause)
    return made


def by_partner(made, number, *events):
    for event in events:
        made = request.decide(made, number, event, Cause.PARTNER)
    return made


def test_the_word_of_the_request_follows_from_its_measures():
    assert set(OPEN_ORDER) == measure.OPEN
    assert set(OPEN_ORDER) | set(END_ORDER) == set(M)
    for stage in set(Stage) - {Stage.UNDER_REVIEW}:
        assert word_of(stage, [M.UNDER_REVIEW, M.REFUSED]) == stage.word
    for one, two in itertools.product(M, M):
        word = word_of(Stage.UNDER_REVIEW, [one, two])
        assert word == word_of(Stage.UNDER_REVIEW, [two, one])
        if one is two:
            assert word == one.word
        given = {one, two} & (measure.DISCLOSED | measure.HELD)
        if {one, two} & measure.OPEN and given:
            assert word == "partly_answered"
    assert word_of(Stage.UNDER_REVIEW, [M.REFUSED, M.ANSWERED]) == "answered"
    assert word_of(Stage.UNDER_REVIEW, [M.REFUSED, M.WITHDRAWN]) == "refused"
    assert word_of(Stage.ACKNOWLEDGED, [M.WITHDRAWN, M.WITHDRAWN]) == "withdrawn"
    assert word_of(Stage.SENDER_REJECTED, [M.WITHDRAWN]) == "sender_rejected"


@pytest.mark.parametrize("stage", Stage)
def test_measures_are_decided_under_review_only(stage):
    made = request.Request(side=Side.RECEIVER, stage=stage, measures=(request.Measure(Course.ANSWER),))
    if stage is Stage.UNDER_REVIEW:
        assert request.decide(made, 0, E.APPROVE, Cause.OFFICER).word == "approved"
        return
    with pytest.raises(StateConflict, match="possible is"):
        request.decide(made, 0, E.APPROVE, Cause.OFFICER)


def test_a_request_has_measures_and_only_those():
    for count in (0, request.MAX_MEASURES + 1):
        with pytest.raises(FieldInvalid):
            request.begin(Side.SENDER, [Course.ANSWER] * count)
    made = under_review(Side.RECEIVER, Course.ANSWER)
    for number in (-1, 1):
        with pytest.raises(NotFound):
            request.decide(made, number, E.APPROVE, Cause.OFFICER)


def test_each_measure_is_decided_by_itself():
    made = under_review(Side.SENDER, Course.ANSWER, Course.ANSWER, Course.PRESERVE)
    made = by_partner(made, 0, E.CONSULT)
    made = request.decide(made, 0, E.REPLY, Cause.OFFICER)
    made = by_partner(made, 0, E.REFUSE)
    made = by_partner(made, 2, E.APPROVE, E.EXECUTE, E.PRESERVE)
    assert made.word == "partly_answered"
    made = by_partner(made, 1, E.APPROVE_WITH_CONDITIONS)
    made = request.decide(made, 1, E.ACCEPT_CONDITIONS, Cause.OFFICER)
    made = by_partner(made, 1, E.EXECUTE, E.PART, E.PART, E.ANSWER)
    assert [item.state for item in made.measures] == [M.REFUSED, M.ANSWERED, M.PRESERVED]
    assert made.word == "answered"
    with pytest.raises(StateConflict, match="release"):
        request.step(made, StageEvent.CLOSE, Cause.OFFICER)
    made = request.decide(made, 2, E.RELEASE, Cause.OFFICER)
    assert request.use_report_owed(made)
    made = request.step(made, StageEvent.CLOSE, Cause.OFFICER)
    assert made.word == "closed"
    assert not request.use_report_owed(made)
    with pytest.raises(StateConflict, match="nothing"):
        request.withdraw(made, Cause.OFFICER)


def test_what_is_open_cannot_be_closed_and_what_came_to_nothing_need_not():
    made = under_review(Side.SENDER, Course.ANSWER, Course.ANSWER)
    answered = by_partner(made, 0, E.APPROVE, E.EXECUTE, E.ANSWER)
    with pytest.raises(StateConflict, match="open measures"):
        request.step(answered, StageEvent.CLOSE, Cause.OFFICER)
    refused = made
    for number in (0, 1):
        refused = by_partner(refused, number, E.CONSULT, E.WAITED, E.REFUSE)
    assert refused.word == "refused"
    for over in (refused, request.withdraw(made, Cause.OFFICER)):
        with pytest.raises(StateConflict, match="nothing is owed"):
            request.step(over, StageEvent.CLOSE, Cause.OFFICER)
    # On the receiver's side as well: a partner that closes over open measures is refused.
    theirs = under_review(Side.RECEIVER, Course.ANSWER)
    with pytest.raises(StateConflict):
        request.step(theirs, StageEvent.CLOSE, Cause.PARTNER)


def test_a_part_that_crossed_the_withdrawal_still_owes_a_use_report():
    made = by_partner(under_review(Side.SENDER, Course.ANSWER), 0, E.APPROVE, E.EXECUTE)
    made = request.withdraw(made, Cause.OFFICER)
    assert made.word == "withdrawn"
    assert not request.use_report_owed(made)
    made = by_partner(made, 0, E.PART)
    assert made.word == "withdrawn"
    assert request.use_report_owed(made)
    assert request.step(made, StageEvent.CLOSE, Cause.OFFICER).word == "closed"
    assert by_partner(made, 0, E.ANSWER).word == "answered"


def test_a_part_that_crossed_the_closing_is_reported_as_well():
    made = under_review(Side.SENDER, Course.ANSWER, Course.ANSWER)
    for number in (0, 1):
        made = by_partner(made, number, E.APPROVE, E.EXECUTE)
    made = request.decide(by_partner(made, 0, E.ANSWER), 1, E.WITHDRAW, Cause.OFFICER)
    made = request.step(made, StageEvent.CLOSE, Cause.OFFICER)
    assert not request.use_report_owed(made)
    made = by_partner(made, 1, E.PART)
    assert (made.word, request.use_report_owed(made)) == ("closed", True)


def test_a_refusal_advises_the_side_that_meets_it():
    with pytest.raises(StateConflict, match="consult before refusing"):
        request.decide(under_review(Side.RECEIVER, Course.ANSWER), 0, E.REFUSE, Cause.OFFICER)
    with pytest.raises(StateConflict) as caught:
        request.decide(under_review(Side.SENDER, Course.ANSWER), 0, E.REFUSE, Cause.PARTNER)
    assert "before refusing" not in caught.value.text


@pytest.mark.parametrize("stage", Stage)
def test_its_officers_can_withdraw_the_whole_in_every_open_stage(stage):
    made = request.Request(side=Side.SENDER, stage=stage, measures=(request.Measure(Course.PRESERVE),) * 2)
    if stage in request.SENDER.open:
        assert request.withdraw(made, Cause.OFFICER).word == "withdrawn"
        assert request.withdrawal(made) == ((0, E.WITHDRAW), (1, E.WITHDRAW))
        # Nobody goes on with what is withdrawn.
        for event, cause in itertools.product(StageEvent, (Cause.OFFICER, Cause.SYSTEM, Cause.CLOCK)):
            with pytest.raises(StateConflict):
                request.step(request.withdraw(made, Cause.OFFICER), event, cause)
    else:
        with pytest.raises(StateConflict, match="possible is nothing"):
            request.withdraw(made, Cause.OFFICER)


def test_only_the_side_that_asked_withdraws():
    made = under_review(Side.RECEIVER, Course.ANSWER)
    with pytest.raises(StateConflict, match="consult"):
        request.withdraw(made, Cause.OFFICER)
    with pytest.raises(StateConflict):
        request.decide(made, 0, E.WITHDRAW, Cause.OFFICER)
    before = request.begin(Side.RECEIVER, [Course.ANSWER])
    assert request.decide(before, 0, E.WITHDRAW, Cause.PARTNER).word == "withdrawn"
    drafted = request.begin(Side.SENDER, [Course.ANSWER, Course.ANSWER])
    with pytest.raises(StateConflict):
        request.decide(drafted, 0, E.WITHDRAW, Cause.OFFICER)
