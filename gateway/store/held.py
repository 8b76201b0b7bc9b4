"""Drafts that wait for officers: kept once for a request, changed by compare-and-swap of their version."""

from typing import Any, Final

from sqlalchemy import Integer, bindparam, or_, select, text, update

from gateway.ids import MessageId, OfficerId, PartnerId, ThreadId
from gateway.model.header import Kind, Mode, Supersedes, Urgency
from gateway.ports import (
    ChangeHeld,
    ClaimHeld,
    DecisionAct,
    DecisionRow,
    DueHeld,
    FindHeld,
    HeldDraft,
    HoldDraft,
    ListHeld,
    StoredHeld,
    SubmissionResult,
    SubmissionStatus,
    Waiting,
)
from gateway.store.decisions import DROP_CLAIM, move
from gateway.store.held_tables import UNDECIDED, claim, decision, proposal
from gateway.store.log import add_log
from gateway.store.needs import pack_needs, unpack_needs
from gateway.store.rows import check_row, checksum
from gateway.store.statement import Insert, Statement, constant
from gateway.store.submissions import answered, known_requests
from gateway.store.tables import message_key
from gateway.store.transaction import Row, Session, Transaction
from gateway.workflow.approval import MACHINE, ApprovalState
from gateway.workflow.claim import Claim

_OPEN: Final = [constant(state) for state in MACHINE.rows if MACHINE.rows[state]]
_WITHOUT_BODY = tuple(column for column in proposal.c if column.name not in {"checksum", "body_sealed"})
ADD_PROPOSAL: Final = Insert(proposal)
FIND: Final = Statement(
    select(*_WITHOUT_BODY, proposal.c.checksum, proposal.c.body_sealed, message_key.c.wrapped)
    .outerjoin(message_key, message_key.c.key_id == proposal.c.key_id)
    .where(proposal.c.proposal_id == bindparam("of_proposal"))
)
LOCK: Final = Statement(
    select(proposal.c.version).where(proposal.c.proposal_id == bindparam("of_proposal")).with_for_update()
)
SET_DRAFT: Final = Statement(
    update(proposal)
    .where(proposal.c.proposal_id == bindparam("of_proposal"))
    .values(
        urgency=bindparam("new_urgency"),
        recipients=bindparam("new_recipients"),
        expire_ms=bindparam("new_expire"),
        content_commitment=bindparam("new_commitment"),
        digest=bindparam("new_digest"),
        needs=bindparam("new_needs"),
        authors=bindparam("new_authors"),
        proposer=bindparam("new_proposer"),
        propose_ms=bindparam("new_propose"),
        due_ms=bindparam("new_due"),
        checksum=bindparam("new_checksum"),
        body_sealed=bindparam("new_body"),
    )
)
DECISIONS: Final = Statement(
    select(*decision.c).where(decision.c.proposal_id == bindparam("of_proposal")).order_by(decision.c.number)
)
FIND_CLAIM: Final = Statement(select(*claim.c).where(claim.c.proposal_id == bindparam("of_proposal")))
PUT_CLAIM: Final = Insert(claim, key=("proposal_id",), replace=("officer", "until_ms"))
_before = or_(
    proposal.c.create_ms < bindparam("before_ms"),
    (proposal.c.create_ms == bindparam("before_ms")) & (proposal.c.proposal_id < bindparam("before_id")),
)
_LISTED = (
    select(*_WITHOUT_BODY, claim.c.officer, claim.c.until_ms)
    .outerjoin(claim, claim.c.proposal_id == proposal.c.proposal_id)
    .where(_before)
    .order_by(proposal.c.create_ms.desc(), proposal.c.proposal_id.desc())
    .limit(bindparam("max_rows", type_=Integer))
)
LIST_ALL: Final = Statement(_LISTED)
LIST_OPEN: Final = Statement(_LISTED.where(proposal.c.state.in_(_OPEN)))
DUE: Final = Statement(
    select(*_WITHOUT_BODY)
    .where(text(UNDECIDED), proposal.c.due_ms <= bindparam("now_ms"))
    .order_by(proposal.c.due_ms)
    .limit(bindparam("max_rows", type_=Integer))
)


def hold_draft(tx: Transaction, operation: HoldDraft) -> SubmissionResult:
    """Keep a draft, unless its request is known: it may have been sent, or be held already."""
    draft = operation.draft
    before = known_requests(tx, [draft.request_id]).get((draft.submitter, draft.request_id))
    if before is not None:
        return answered(before, draft.request_digest)
    tx.insert(ADD_PROPOSAL, [_columns(draft)])
    if operation.wrapped_message_key is not None:
        tx.put_keys([(draft.key_id, operation.wrapped_message_key)])
    add_log(tx, [operation.log])
    tx.touch("held")
    return SubmissionResult(
        SubmissionStatus.NEW,
        draft.proposal_id,
        draft.thread_id,
        draft.content_commitment,
        draft.create_ms,
        draft.expire_ms,
        Waiting(draft.needs),
    )


def change_held(tx: Transaction, operation: ChangeHeld) -> bool:
    """Move a draft on, with the act that did it."""
    raw = operation.proposal_id.raw
    if not move(tx, raw, operation.version, operation.state, operation.decision):
        return False
    if (draft := operation.draft) is not None:
        tx.run(
            SET_DRAFT,
            of_proposal=raw,
            new_urgency=int(draft.urgency),
            new_recipients=_codes(draft.recipients),
            new_expire=draft.expire_ms,
            new_commitment=draft.content_commitment,
            new_digest=draft.digest,
            new_needs=pack_needs(draft.needs),
            new_authors=_officers(draft.authors),
            new_proposer=_officer(draft.proposer),
            new_propose=draft.propose_ms,
            new_due=draft.due_ms,
            new_checksum=checksum(draft.digest, draft.body_sealed),
            new_body=draft.body_sealed,
        )
    add_log(tx, [operation.log])
    return True


def claim_held(tx: Transaction, operation: ClaimHeld) -> bool:
    """Swap a claim for another."""
    raw = operation.proposal_id.raw
    # The row of the draft is what two replicas can lock; there may be none of the claim yet.
    if tx.row(LOCK, of_proposal=raw) is None or _claim(tx.row(FIND_CLAIM, of_proposal=raw)) != operation.before:
        return False
    if operation.after is None:
        tx.run(DROP_CLAIM, of_proposal=raw)
    else:
        tx.insert(PUT_CLAIM, [(raw, operation.after.officer.name, operation.after.until_ms)])
    add_log(tx, [operation.log])
    tx.touch("held")
    return True


def find_held(session: Session, query: FindHeld) -> StoredHeld | None:
    """Return a held draft with what was done to it.

    Raises:
        StoreCorrupt: Its row is damaged.
    """
    raw = query.proposal_id.raw
    row = session.row(FIND, of_proposal=raw)
    if row is None:
        return None
    *columns, stored, body, wrapped = row
    draft = _draft(columns, body)
    check_row("held draft", stored, draft.digest, body)
    return StoredHeld(
        draft=draft,
        wrapped_message_key=wrapped or b"",
        claim=_claim(session.row(FIND_CLAIM, of_proposal=raw)),
        decisions=tuple(_decision(item) for item in session.rows(DECISIONS, of_proposal=raw)),
    )


def list_held(session: Session, query: ListHeld) -> tuple[tuple[HeldDraft, Claim | None], ...]:
    """Return a page of held drafts."""
    statement = LIST_OPEN if query.open_only else LIST_ALL
    rows = session.rows(statement, before_ms=query.before_ms, before_id=query.before_id, max_rows=query.max_rows)
    return tuple(
        (_draft(columns, b""), Claim(OfficerId(officer), until_ms) if officer else None)
        for *columns, officer, until_ms in rows
    )


def due_held(session: Session, query: DueHeld) -> tuple[HeldDraft, ...]:
    """Return held drafts whose time is over."""
    rows = session.rows(DUE, now_ms=query.now_ms, max_rows=query.max_rows)
    return tuple(_draft(list(columns), b"") for columns in rows)


def _columns(draft: HeldDraft) -> tuple[Any, ...]:
    supersedes = draft.supersedes
    return (
        draft.proposal_id.raw,
        draft.thread_id.raw,
        int(draft.new_thread),
        int(draft.kind),
        int(draft.mode),
        int(draft.urgency),
        draft.in_reply_to.raw if draft.in_reply_to else None,
        supersedes.message_id.raw if supersedes else None,
        supersedes.content_commitment if supersedes else None,
        _codes(draft.recipients),
        draft.create_ms,
        draft.expire_ms,
        draft.content_commitment,
        draft.digest,
        draft.authority,
        draft.submitter,
        draft.request_id,
        draft.request_digest,
        draft.key_id,
        pack_needs(draft.needs),
        int(draft.state),
        draft.version,
        _officers(draft.authors),
        _officer(draft.proposer),
        draft.propose_ms,
        draft.due_ms,
        checksum(draft.digest, draft.body_sealed),
        draft.body_sealed,
    )


def _draft(columns: list[Any], body: bytes) -> HeldDraft:
    named = {column.name: value for column, value in zip(_WITHOUT_BODY, columns, strict=True)}
    reply, superseded = named["in_reply_to"], named["supersedes_id"]
    return HeldDraft(
        proposal_id=MessageId(named["proposal_id"]),
        thread_id=ThreadId(named["thread_id"]),
        new_thread=bool(named["new_thread"]),
        kind=Kind(named["kind"]),
        mode=Mode(named["mode"]),
        urgency=Urgency(named["urgency"]),
        in_reply_to=MessageId(reply) if reply else None,
        supersedes=Supersedes(message_id=MessageId(superseded), content_commitment=named["supersedes_commitment"])
        if superseded
        else None,
        recipients=tuple(PartnerId(code) for code in named["recipients"].split()),
        create_ms=named["create_ms"],
        expire_ms=named["expire_ms"],
        content_commitment=named["content_commitment"],
        digest=named["digest"],
        authority=named["authority"],
        submitter=named["submitter"],
        request_id=named["request_id"],
        request_digest=named["request_digest"],
        key_id=named["key_id"],
        body_sealed=body,
        needs=unpack_needs(named["needs"]),
        state=ApprovalState(named["state"]),
        version=named["version"],
        authors=frozenset(OfficerId(name) for name in named["authors"].split()),
        proposer=OfficerId(named["proposer"]) if named["proposer"] else None,
        propose_ms=named["propose_ms"],
        due_ms=named["due_ms"],
    )


def _decision(row: Row) -> DecisionRow:
    _, number, act, officer, roles, rules, ground, digest, time_ms, words = row
    return DecisionRow(
        number=number,
        act=DecisionAct(act),
        officer=officer,
        roles=frozenset(roles.split()),
        rules=frozenset(rules.split()),
        ground=ground,
        digest=digest,
        time_ms=time_ms,
        words_sealed=words,
    )


def _claim(row: Row | None) -> Claim | None:
    return None if row is None else Claim(OfficerId(row[1]), row[2])


def _codes(partners: tuple[PartnerId, ...]) -> str:
    return " ".join(partner.code for partner in partners)


def _officers(officers: frozenset[OfficerId]) -> str:
    return " ".join(sorted(officer.name for officer in officers))


def _officer(officer: OfficerId | None) -> str:
    return "" if officer is None else officer.name
