"""Rows of cases: how they are found, packed and written."""

import json
import struct
from typing import Final

from sqlalchemy import Integer, and_, bindparam, delete, or_, select

from gateway.errors import StoreCorrupt
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Mode, Urgency
from gateway.ports import CaseEntry, CaseRow
from gateway.store.case_tables import case_file, case_step, case_waiting
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.tables import received
from gateway.store.transaction import Row
from gateway.workflow.case import Case, CaseKind, Deed, Opening
from gateway.workflow.measure import Course, MeasureState
from gateway.workflow.referral import ReferralState
from gateway.workflow.request import Measure, Request, Stage
from gateway.workflow.table import Cause, Side

CASES: Final = Lookup(
    lambda keys: select(*case_file.c).where(
        # Not a list of row values: SQLite would read the whole table for it.
        or_(*(and_(case_file.c.thread_id == thread, case_file.c.partner == partner) for thread, partner in keys))
    ),
    case_file.c.thread_id,
    case_file.c.partner,
    most=64,
)
CASES_TO_MOVE: Final = Lookup(
    lambda keys: (
        select(*case_file.c)
        .where(or_(*(and_(case_file.c.thread_id == one, case_file.c.partner == other) for one, other in keys)))
        # In one order for all, so that two replicas do not lock each other out.
        .order_by(case_file.c.thread_id, case_file.c.partner)
        .with_for_update()
    ),
    case_file.c.thread_id,
    case_file.c.partner,
    most=64,
)
OF_THREADS: Final = Lookup(
    lambda keys: select(*case_file.c).where(case_file.c.thread_id.in_(keys)), case_file.c.thread_id
)
_ORDER: Final = (case_file.c.change_ms, case_file.c.thread_id, case_file.c.partner)
_FIRST: Final = tuple(
    bindparam(name, type_=column.type)
    for name, column in zip(("before_ms", "before_thread", "before_partner"), _ORDER, strict=True)
)
_BEHIND: Final = and_(
    _ORDER[0] <= _FIRST[0],
    or_(
        _ORDER[0] < _FIRST[0],
        and_(_ORDER[0] == _FIRST[0], _ORDER[1] < _FIRST[1]),
        and_(_ORDER[0] == _FIRST[0], _ORDER[1] == _FIRST[1], _ORDER[2] < _FIRST[2]),
    ),
)
_PAGE: Final = (
    select(*case_file.c)
    .where(_BEHIND)
    .order_by(*(column.desc() for column in _ORDER))
    .limit(bindparam("max_rows", type_=Integer))
)
LIVE: Final = Statement(_PAGE.where(case_file.c.live == constant(1)))
ALL: Final = Statement(_PAGE)
PUT: Final = Insert(
    case_file,
    key=("thread_id", "partner"),
    replace=("urgency", "state", "live", "change_ms", "word_ms", "steps", "measures"),
)
ADD: Final = Insert(case_file)
ADD_STEPS: Final = Insert(case_step)
STEPS: Final = Statement(
    select(*case_step.c)
    .where(case_step.c.thread_id == bindparam("of_thread"), case_step.c.partner == bindparam("with_partner"))
    .order_by(case_step.c.number)
)
ADD_WAITING: Final = Insert(case_waiting)
WAITING: Final = Lookup(
    lambda keys: (
        select(
            case_waiting.c.sender,
            case_waiting.c.message_id,
            case_waiting.c.entry,
            received.c.thread_id,
            received.c.authority,
            received.c.mode,
            received.c.urgency,
            received.c.create_ms,
            received.c.expire_ms,
        )
        .join(
            received,
            and_(received.c.message_id == case_waiting.c.message_id, received.c.sender == case_waiting.c.sender),
        )
        .where(case_waiting.c.message_id.in_(keys))
    ),
    case_waiting.c.message_id,
)
DROP_WAITING: Final = Lookup(
    lambda keys: delete(case_waiting).where(
        or_(*(and_(case_waiting.c.sender == one, case_waiting.c.message_id == other) for one, other in keys))
    ),
    case_waiting.c.sender,
    case_waiting.c.message_id,
    most=64,
)

CAUSES: Final = {Cause.OFFICER: 1, Cause.PARTNER: 2, Cause.CLOCK: 3, Cause.SYSTEM: 4}
CAUSE_OF: Final = {number: cause for cause, number in CAUSES.items()}
_SIDES: Final = {Side.SENDER: 1, Side.RECEIVER: 2}
_SIDE_OF: Final = {number: side for side, number in _SIDES.items()}
_COURSES: Final = {Course.ANSWER: 1, Course.PRESERVE: 2}
_COURSE_OF: Final = {number: course for course, number in _COURSES.items()}
_MEASURE: Final = struct.Struct(">16sBBBq")
"""Key, course, state, whether anything was disclosed (1) and reported (2), and until when it lasts (0: no such time).
"""


def case_columns(row: CaseRow) -> tuple[object, ...]:
    """Return the columns of a case."""
    case = row.case
    return (
        row.thread_id.raw,
        row.partner.code,
        _SIDES[case.side],
        int(case.kind),
        row.message_id.raw,
        row.authority,
        int(row.mode),
        int(row.urgency),
        case.number,
        int(case.open),
        row.create_ms,
        row.expire_ms,
        row.change_ms,
        row.word_ms,
        row.steps,
        _packed(case),
    )


def case_of(row: Row) -> CaseRow:
    """Return what a row says.

    Raises:
        StoreCorrupt: Its measures are damaged.
    """
    thread, partner, side, kind, message_id, authority, mode, urgency, state, _, create_ms, expire_ms = row[:12]
    change_ms, word_ms, steps, packed = row[12:]
    return CaseRow(
        thread_id=ThreadId(thread),
        partner=PartnerId(partner),
        message_id=MessageId(message_id),
        authority=authority,
        mode=Mode(mode),
        urgency=Urgency(urgency),
        case=_unpacked(_SIDE_OF[side], CaseKind(kind), state, packed),
        create_ms=create_ms,
        expire_ms=expire_ms,
        change_ms=change_ms,
        word_ms=word_ms,
        steps=steps,
    )


def _packed(case: Case) -> bytes:
    if not isinstance(case.state, Request):
        return b""
    return b"".join(
        _MEASURE.pack(key, _COURSES[item.course], item.state, item.disclosed + 2 * item.reported, until or 0)
        for key, until, item in zip(case.keys, case.until_ms, case.state.measures, strict=True)
    )


def _unpacked(side: Side, kind: CaseKind, state: int, packed: bytes) -> Case:
    if kind is CaseKind.REFERRAL:
        return Case(side=side, state=ReferralState(state))
    if not packed or len(packed) % _MEASURE.size:
        raise StoreCorrupt("the measures of a case are damaged")
    rows = tuple(_MEASURE.iter_unpack(packed))
    measures = tuple(
        Measure(_COURSE_OF[course], MeasureState(now), bool(flags & 1), bool(flags & 2))
        for _, course, now, flags, _ in rows
    )
    return Case(
        side=side,
        state=Request(side=side, stage=Stage(state), measures=measures),
        keys=tuple(row[0] for row in rows),
        until_ms=tuple(row[4] or None for row in rows),
    )


def pack_entry(entry: CaseEntry) -> bytes:
    """Return what a held message says of its case, as it waits."""
    opening = entry.opening
    return json.dumps(
        {
            "opening": None
            if opening is None
            else [int(opening.kind), [[key.hex(), _COURSES[course]] for key, course in opening.measures]],
            "deeds": [[deed.word, [key.hex() for key in deed.measures], deed.until_ms] for deed in entry.deeds],
        }
    ).encode()


def unpack_entry(data: bytes) -> CaseEntry:
    """Return what a held message says of its case."""
    table = json.loads(data)
    opening = None
    if table["opening"] is not None:
        kind, measures = table["opening"]
        named = tuple((bytes.fromhex(key), _COURSE_OF[course]) for key, course in measures)
        opening = Opening(kind=CaseKind(kind), measures=named)
    return CaseEntry(
        opening=opening,
        deeds=tuple(
            Deed(word=word, measures=tuple(map(bytes.fromhex, keys)), until_ms=until)
            for word, keys, until in table["deeds"]
        ),
    )
