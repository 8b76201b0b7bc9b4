"""Cases as the command line is told of them."""

from typing import Final, Protocol

from concord.v1 import admin_service_pb2 as pb

from gateway.exchange.case_reader import CaseView, DueView
from gateway.ids import PartnerId
from gateway.ports import CaseRow, CaseStep
from gateway.rpc.convert.field import partner_from_text, set_time
from gateway.rpc.convert.view import time_to_proto
from gateway.workflow.case import CaseKind
from gateway.workflow.measure import MeasureState
from gateway.workflow.referral import ReferralState
from gateway.workflow.request import Stage

MAX_CASES: Final = 1000
DEFAULT_CASES: Final = 100


class CaseBackend(Protocol):
    """What the composition root offers about cases."""

    async def cases(self, *, live: bool, max_rows: int) -> tuple[CaseView, ...]: ...
    async def find_cases(self, beginning: str, partner: PartnerId | None) -> tuple[CaseRow, ...]: ...
    async def show_case(self, row: CaseRow) -> CaseView: ...


async def listed(backend: CaseBackend, request: pb.ListCasesRequest) -> pb.ListCasesResponse:
    """Return cases without content."""
    size = min(request.page_size, MAX_CASES) if request.page_size else DEFAULT_CASES
    views = await backend.cases(live=not request.include_ended, max_rows=size)
    return pb.ListCasesResponse(cases=[case_to_proto(view, whole=False) for view in views])


async def shown(backend: CaseBackend, request: pb.ShowCaseRequest) -> pb.ShowCaseResponse:
    """Return one case with its history, if exactly one has such an id."""
    partner = partner_from_text(request.partner, "partner") if request.partner else None
    rows = await backend.find_cases(request.beginning, partner)
    if len(rows) != 1:
        return pb.ShowCaseResponse(found=len(rows))
    return pb.ShowCaseResponse(case=case_to_proto(await backend.show_case(rows[0]), whole=True), found=1)


def case_to_proto(view: CaseView, *, whole: bool) -> pb.CaseView:
    """Return a case; whole: with its history."""
    row = view.row
    message = pb.CaseView(
        thread_id=row.thread_id.raw,
        partner=row.partner.code,
        kind=row.case.kind.word,
        sender=view.sender.code,
        message_id=row.message_id.raw,
        authority=row.authority,
        mode=row.mode.value,  # type: ignore[arg-type]
        urgency=row.urgency.value,  # type: ignore[arg-type]
        state=view.state,
        live=row.case.open,
        create_time=time_to_proto(row.create_ms),
        change_time=time_to_proto(row.change_ms),
        turn=view.turn,
        dues=[_due(item) for item in view.dues],
        possible=view.possible,
        history=[_line(step, row.case.kind) for step in view.history] if whole else [],
        own_zone=view.own_zone,
        partner_zone=view.partner_zone,
    )
    for item in view.measures:
        measure = message.measures.add(measure_id=item.measure_id, measure_type=item.measure_type, state=item.state)
        if item.until_ms is not None:
            set_time(measure.until_time, item.until_ms)
    return message


def _due(item: DueView) -> pb.CaseDue:
    due = pb.CaseDue(
        what=item.what,
        by_us=item.by_us,
        left_ms=item.left_ms or 0,
        overdue=item.overdue,
        measure=item.place + 1,
    )
    if item.due_ms is not None:
        set_time(due.due_time, item.due_ms)
    return due


def _line(step: CaseStep, kind: CaseKind) -> pb.CaseLine:
    line = pb.CaseLine(
        time=time_to_proto(step.time_ms),
        cause=step.cause.value,
        message_id=b"" if step.message_id is None else step.message_id.raw,
        sender=step.sender.code,
        finding=step.finding,
    )
    turn = step.turn
    if turn is not None:
        states = MeasureState if turn.place >= 0 else Stage if kind is CaseKind.REQUEST else ReferralState
        line.measure = turn.place + 1
        line.event = turn.event
        line.before = states(turn.before).word if turn.before else ""
        line.after = states(turn.after).word
        line.late = turn.late
    return line


def overdue_words(view: CaseView) -> str:
    """Return in one line what of a case is overdue, and who owes it."""
    late = [item for item in view.dues if item.overdue]
    owed = ", ".join(dict.fromkeys(f"{item.what} by {'us' if item.by_us else view.row.partner.code}" for item in late))
    return f"{view.row.case.kind.word} {view.row.thread_id} with '{view.row.partner}' ({view.state}): {owed} is overdue"
