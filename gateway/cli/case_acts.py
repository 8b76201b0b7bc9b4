"""concord case accept, decline, ask, answer, update, withdraw, close, reopen: each hands in the message that says so.

What leaves speaks with the handling and on the legal basis of what began the case. Where officers release, it waits for
them like any other draft.
"""

from typing import Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.case_drafts import Wishes, act, closing, named, one_of, results, withdrawal, words
from gateway.cli.failure import ExitCode, usage

CaseArgument = Annotated[str, typer.Argument(help="As `case list` shows it; its beginning is enough when unique.")]
WithOption = Annotated[
    str, typer.Option("--with", help="The partner, where a thread has a case with several.", show_default=False)
]
MeasureOption = Annotated[
    str, typer.Option("--measure", help="Measures, comma between: m1,m2. [default: all]", show_default=False)
]
TextOption = Annotated[str, typer.Option("--text", help="Words for the other side.", show_default=False)]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, as the other side is told.", show_default=False)]
LanguageOption = Annotated[str, typer.Option(help="Language of the words, BCP 47.")]
AsOption = Annotated[
    str,
    typer.Option(
        "--as", help="Authority that speaks. [default: who asked, else default_authority]", show_default=False
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would leave and who must decide.")]
RequestIdOption = Annotated[
    str, typer.Option(help="UUID. Repeating a command with the same one never sends twice.", show_default=False)
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `case`."""

    @command(group, "accept")
    def accept(
        call: Call,
        case_id: CaseArgument,
        measure: MeasureOption = "",
        condition: Annotated[
            list[str] | None,
            typer.Option("--condition", help="The other side must agree to it; may be repeated.", show_default=False),
        ] = None,
        agree: Annotated[bool, typer.Option("--agree", help="Agree to the other side's conditions.")] = False,
        text: TextOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Accept a referral, or measures of a request: what was asked will be done."""
        from gateway.model.case import CaseDecision, Condition, ConditionType, Verdict

        conditions = tuple(
            Condition(condition_id=f"c{number}", condition_type=ConditionType.OTHER, words=words(item, language))
            for number, item in enumerate(condition or (), 1)
        )
        verdict = Verdict.ACCEPT_WITH_CONDITIONS if conditions else Verdict.ACCEPT
        content = CaseDecision(
            verdict=Verdict.AGREE_TO_CONDITIONS if agree else verdict,
            measures=named(measure),
            conditions=conditions,
            disclosed=words(text, language),
        )
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)

    @command(group, "decline")
    def decline(
        call: Call,
        case_id: CaseArgument,
        reason: ReasonOption = "",
        ground: Annotated[
            str,
            typer.Option("--ground", help="Grounds in words of the protocol, comma between.", show_default=False),
        ] = "",
        measure: MeasureOption = "",
        consult: Annotated[
            bool, typer.Option("--consult", help="Consult first: no request is refused without it.")
        ] = False,
        postpone: Annotated[
            str, typer.Option("--postpone", help="Until when: 3d or 2026-11-23T12:00Z.", show_default=False)
        ] = "",
        redirect: Annotated[
            str, typer.Option("--redirect-to", help="The authority that is competent.", show_default=False)
        ] = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Refuse with reasons; or consult before refusing, postpone, or name who is competent."""
        from gateway.cli.when import parse_when
        from gateway.clock import SystemClock
        from gateway.model.case import CaseDecision, Ground, Verdict

        if bool(consult) + bool(postpone) + bool(redirect) > 1:
            raise usage("--consult, --postpone and --redirect-to say different things", advice="give one of them")
        if not reason and not redirect:
            raise usage("the reason is not said", advice="add --reason: the other side is owed it")
        verdict = (
            Verdict.CONSULT if consult else Verdict.POSTPONE if postpone else Verdict.REDIRECT if redirect else None
        )
        content = CaseDecision(
            verdict=verdict or Verdict.REFUSE,
            measures=named(measure),
            grounds=tuple(one_of(Ground, item, "--ground") for item in named(ground)),
            disclosed=words(reason, language),
            redirect_to=redirect,
            until_ms=parse_when(postpone, SystemClock().now_ms(), "postpone") if postpone else None,
        )
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)

    @command(group, "ask")
    def ask(
        call: Call,
        case_id: CaseArgument,
        text: TextOption = "",
        measure: MeasureOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Ask the other side for what is missing."""
        from gateway.model.case import CaseDecision, Verdict

        if not text:
            raise usage("the question is not said", advice="add --text")
        content = CaseDecision(verdict=Verdict.ASK, measures=named(measure), questions=words(text, language))
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)

    @command(group, "answer")
    def answer(
        call: Call,
        case_id: CaseArgument,
        outcome: Annotated[
            str, typer.Option("--outcome", help="Of a referral, for example rescued.", show_default=False)
        ] = "",
        result: Annotated[
            list[str] | None,
            typer.Option("--result", help="Of a measure: m1=done, m1=preserved; may be repeated.", show_default=False),
        ] = None,
        until: Annotated[
            str, typer.Option("--until", help="Until when data are preserved: 90d.", show_default=False)
        ] = "",
        part: Annotated[int, typer.Option(min=1, help="Which part of the answer this is.")] = 1,
        more: Annotated[bool, typer.Option("--more", help="Another part follows.")] = False,
        text: TextOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Answer: how a referral ended, or what came of the measures of a request."""
        from gateway.model.case import Answer, CaseOutcome

        if bool(outcome) is bool(result):
            raise usage("an answer has an outcome or results", advice="add --outcome or --result MEASURE=WORD")
        content = Answer(
            part=part,
            final=not more,
            outcome=one_of(CaseOutcome, outcome, "--outcome") if outcome else None,
            results=results(result or (), until, text, language),
            text=words(text, language),
        )
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)

    @command(group, "update")
    def update(
        call: Call,
        case_id: CaseArgument,
        event: Annotated[
            str,
            typer.Option("--event", help="What happened, as `case show` names it. [default: news]", show_default=False),
        ] = "",
        text: TextOption = "",
        measure: MeasureOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Tell what is new, with or without a change of state: start, inform, clarify, reply, release."""
        from gateway.model.case import Update

        content = Update(event=event, text=words(text, language), measures=named(measure))
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)

    @command(group, "withdraw")
    def withdraw(
        call: Call,
        case_id: CaseArgument,
        reason: ReasonOption = "",
        measure: MeasureOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Take back what we asked: what is open ends, what is held is let go. What was done stays done."""
        if not reason:
            raise usage("the reason is not said", advice="add --reason")
        return act(
            call,
            Wishes(case_id, with_, as_, language, dry_run, request_id),
            lambda case: withdrawal(case, named(measure), words(reason, language)),
        )

    @command(group, "close")
    def close(
        call: Call,
        case_id: CaseArgument,
        text: TextOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Close what we asked: confirm the outcome of a referral, or report how the results of a request were used."""
        return act(
            call,
            Wishes(case_id, with_, as_, language, dry_run, request_id),
            lambda case: closing(case, words(text, language)),
        )

    @command(group, "reopen")
    def reopen(
        call: Call,
        case_id: CaseArgument,
        reason: ReasonOption = "",
        language: LanguageOption = "en",
        with_: WithOption = "",
        as_: AsOption = "",
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Reopen a referral of ours: the outcome was not one, or something has changed."""
        from gateway.model.case import Update

        if not reason:
            raise usage("the reason is not said", advice="add --reason")
        content = Update(event="reopen", text=words(reason, language))
        return act(call, Wishes(case_id, with_, as_, language, dry_run, request_id), content)
