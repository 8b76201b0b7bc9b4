"""A case as messages move it: words, what they take for granted, and that both sides agree whatever crosses."""

from collections import deque
from itertools import product

import pytest

from gateway.errors import NotFound, StateConflict
from gateway.workflow.case import WHOLE, Case, CaseKind, Deed, Opening, act, begin, follow, pass_time, possible
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.referral import ReferralEvent, ReferralState
from gateway.workflow.request import Request, Stage, StageEvent
from gateway.workflow.table import Cause, Side

M1, M2 = b"1" * 16, b"2" * 16
REFERRAL = Opening(kind=CaseKind.REFERRAL)
PRESERVE = Opening(kind=CaseKind.REQUEST, measures=((M1, Course.PRESERVE),))
BOTH = Opening(kind=CaseKind.REQUEST, measures=((M1, Course.PRESERVE), (M2, Course.ANSWER)))
OFFICER, PARTNER = Cause.OFFICER, Cause.PARTNER


def after(opening: Opening, side: Side, *words: str | Deed) -> Case:
    """Return a case after words that its own side may say, or else its partner."""
    case = begin(side, opening)
    for word in words:
        deed = word if isinstance(word, Deed) else Deed(word=word)
        try:
            case, _ = act(case, deed, OFFICER)
        except StateConflict:
            case, _ = act(case, deed, PARTNER)
    return case


def test_who_accepts_has_seen_it_and_who_resolves_has_begun():
    case, turns = act(begin(Side.RECEIVER, REFERRAL), Deed(word="accept"), OFFICER)
    assert [turn.event for turn in turns] == ["acknowledge", "accept"]
    assert case.word == "accepted"
    case, turns = act(case, Deed(word="resolve"), OFFICER)
    assert [turn.event for turn in turns] == ["start", "resolve"]


def test_an_officers_word_may_overtake_the_receipt():
    case, _ = act(begin(Side.SENDER, REFERRAL), Deed(word="accept"), PARTNER)
    assert case.word == "accepted"


def test_a_verdict_on_a_request_examines_it_and_approves_each_measure():
    case, turns = act(begin(Side.RECEIVER, BOTH), Deed(word="accept"), OFFICER)
    assert [(turn.place, turn.event) for turn in turns] == [
        (WHOLE, "acknowledge"), (WHOLE, "examine"), (0, "approve"), (1, "approve"),
    ]  # fmt: skip
    assert case.word == "approved"


def test_news_change_nothing():
    case = begin(Side.SENDER, REFERRAL)
    assert act(case, Deed(), PARTNER) == (case, ())


@pytest.mark.parametrize("word", ["dance", "submit", "send", "receive", "silence", "examine", "lapse"])
def test_what_is_no_act_of_officers_on_a_referral_is_refused(word):
    with pytest.raises(StateConflict, match="possible is"):
        act(begin(Side.RECEIVER, REFERRAL), Deed(word=word), OFFICER)


@pytest.mark.parametrize("word", ["dance", "start", "resolve", "redirect", "lapse", "waited"])
def test_what_is_no_act_of_officers_on_a_request_is_refused(word):
    with pytest.raises(StateConflict, match="possible is"):
        act(begin(Side.RECEIVER, PRESERVE), Deed(word=word), OFFICER)


def test_a_message_about_the_whole_is_about_every_measure_or_refused():
    case = after(BOTH, Side.RECEIVER, Deed(word="ask", measures=(M2,)))
    with pytest.raises(StateConflict):
        act(case, Deed(word="accept"), OFFICER)
    assert act(case, Deed(word="accept", measures=(M1,)), OFFICER)[0].word == "clarification_needed"


def test_a_measure_that_is_not_there_is_not_found():
    with pytest.raises(NotFound):
        act(begin(Side.RECEIVER, PRESERVE), Deed(word="accept", measures=(M2,)), OFFICER)


def test_nothing_is_refused_before_consultation_and_a_refusal_tells_the_other_side_that_the_time_was_over():
    case = begin(Side.RECEIVER, PRESERVE)
    with pytest.raises(StateConflict, match="consult before refusing"):
        act(case, Deed(word="refuse"), OFFICER)
    case = after(PRESERVE, Side.RECEIVER, "consult")
    with pytest.raises(StateConflict):
        act(case, Deed(word="refuse"), OFFICER)
    case, _ = pass_time(case, 0, MeasureEvent.WAITED)
    assert act(case, Deed(word="refuse"), OFFICER)[0].word == "refused"
    asking = after(PRESERVE, Side.SENDER, "consult")
    told, turns = act(asking, Deed(word="refuse"), PARTNER)
    assert told.word == "refused"
    assert [turn.event for turn in turns] == ["waited", "refuse"]


def test_until_when_data_are_held_is_kept_while_they_are():
    kept = after(PRESERVE, Side.RECEIVER, "accept", Deed(word="preserve", measures=(M1,), until_ms=900))
    assert kept.until_ms == (900,)
    longer, turns = act(kept, Deed(word="preserve", measures=(M1,), until_ms=1900), OFFICER)
    assert [turn.event for turn in turns] == ["extend"]
    assert longer.until_ms == (1900,)
    released, _ = act(longer, Deed(word="release", measures=(M1,)), PARTNER)
    assert (released.word, released.until_ms) == ("released", (None,))


def test_time_ends_what_was_promised_until_an_instant_with_both_sides():
    for side in Side:
        kept = after(PRESERVE, side, "accept", Deed(word="preserve", measures=(M1,), until_ms=900))
        assert pass_time(kept, 0, MeasureEvent.LAPSE)[0].word == "lapsed"
    resolved = after(REFERRAL, Side.SENDER, "accept", "resolve")
    assert pass_time(resolved, WHOLE, ReferralEvent.SILENCE)[0].word == "closed"
    assert pass_time(begin(Side.SENDER, PRESERVE), WHOLE, StageEvent.FAIL)[0].word == "undelivered"
    with pytest.raises(StateConflict):
        pass_time(begin(Side.SENDER, REFERRAL), WHOLE, MeasureEvent.LAPSE)


def test_a_case_is_live_until_nothing_is_to_come():
    assert begin(Side.SENDER, REFERRAL).open
    assert after(REFERRAL, Side.SENDER, "accept", "resolve").open
    assert not after(REFERRAL, Side.SENDER, "accept", "resolve", "confirm").open
    assert after(PRESERVE, Side.SENDER, "accept", Deed(word="preserve", until_ms=9)).open
    assert not after(PRESERVE, Side.SENDER, "accept", Deed(word="preserve", until_ms=9), "release").open


def test_what_officers_may_do_is_told_with_what_it_takes_for_granted():
    assert possible(begin(Side.RECEIVER, REFERRAL), OFFICER) == ("acknowledge", "accept", "decline", "redirect")
    assert possible(begin(Side.SENDER, REFERRAL), OFFICER) == ("withdraw",)
    found = possible(begin(Side.RECEIVER, PRESERVE), OFFICER)
    assert set(found) == {
        "acknowledge", "examine", "ask", "approve", "approve_with_conditions", "consult", "postpone",
    }  # fmt: skip


def test_a_thread_has_one_case_with_a_partner_and_nothing_is_decided_where_there_is_none():
    case, turns = follow(None, REFERRAL, (), cause=PARTNER, partner="la")
    assert case is not None
    assert (case.side, turns[0].event) == (Side.RECEIVER, "open")
    with pytest.raises(StateConflict, match="a referral with 'la' already"):
        follow(case, PRESERVE, (), cause=OFFICER, partner="la")
    with pytest.raises(StateConflict, match="no case with 'la'"):
        follow(None, None, (Deed(word="accept"),), cause=OFFICER, partner="la")
    assert follow(None, None, (Deed(),), cause=OFFICER, partner="la") == (None, ())


WORDS = {
    CaseKind.REFERRAL: ("acknowledge", "accept", "refuse", "redirect", "start", "ask", "inform", "resolve", "confirm",
                        "reopen", "withdraw"),
    CaseKind.REQUEST: ("acknowledge", "accept", "accept_with_conditions", "agree_to_conditions", "ask", "clarify",
                       "consult", "reply", "postpone", "resume", "execute", "preserve", "part", "answer", "release",
                       "withdraw"),
}  # fmt: skip


@pytest.mark.parametrize(
    "opening", [REFERRAL, PRESERVE, Opening(kind=CaseKind.REQUEST, measures=((M1, Course.ANSWER),))]
)
def test_both_sides_agree_whatever_crosses(opening):
    """Up to two messages under way each way: nothing honest is refused, and when all has arrived both say the same."""
    words = [Deed(word=word, until_ms=9 if word in {"preserve", "postpone"} else None) for word in WORDS[opening.kind]]
    start = (begin(Side.SENDER, opening), begin(Side.RECEIVER, opening), (), ())
    found, todo = {start}, deque([start])
    while todo:
        one, two, to_two, to_one = todo.popleft()
        nexts = []
        for deed in words:
            for sending, queue in ((True, to_two), (False, to_one)):
                if len(queue) >= 2:
                    continue
                try:
                    moved, turns = act(one if sending else two, deed, OFFICER)
                except StateConflict:
                    continue
                if all(turn.before == turn.after for turn in turns) and deed.word != "part":
                    continue
                nexts.append(
                    (moved, two, (*to_two, deed), to_one) if sending else (one, moved, to_two, (*to_one, deed))
                )
        if to_two:
            nexts.append((one, act(two, to_two[0], PARTNER)[0], to_two[1:], to_one))
        if to_one:
            nexts.append((act(one, to_one[0], PARTNER)[0], two, to_two, to_one[1:]))
        for world in nexts:
            if world not in found:
                found.add(world)
                todo.append(world)
    for one, two, to_two, to_one in found:
        if not (to_two or to_one):
            assert _told(one) == _told(two), (one, two)


def _told(case: Case):
    """Return the state of a case as far as both sides know it without a word."""
    if isinstance(case.state, Request):
        return [item.state for item in case.state.measures]
    unseen = {ReferralState.SENT, ReferralState.RECEIVED}
    return "unseen" if case.state in unseen else case.state


def test_every_pair_of_states_and_words_is_decided():
    starts = [begin(side, opening) for side, opening in product(Side, (REFERRAL, BOTH))]
    for case in starts:
        for cause in Cause:
            for word in (*WORDS[case.kind], "close", "refuse", "lapse"):
                try:
                    moved, _ = act(case, Deed(word=word), cause)
                except StateConflict as error:
                    assert "possible is" in error.text
                else:
                    assert moved.side is case.side
    assert isinstance(starts[1].state, Request)
    assert starts[1].state.stage is Stage.TRANSMITTED
    assert starts[1].state.measures[0].state is MeasureState.UNDER_REVIEW
