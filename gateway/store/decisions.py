"""Acts on held drafts: each moves the draft's version on and leaves a row, or does nothing."""

from typing import Final

from sqlalchemy import bindparam, delete, update

from gateway.ports import DecisionRow, Released
from gateway.store.held_tables import claim, decision, proposal
from gateway.store.log import add_log
from gateway.store.statement import Insert, Statement
from gateway.store.transaction import Transaction
from gateway.workflow.approval import MACHINE, ApprovalState

ADD_DECISION: Final = Insert(decision)
MOVE: Final = Statement(
    update(proposal)
    .where(proposal.c.proposal_id == bindparam("of_proposal"), proposal.c.version == bindparam("old_version"))
    .values(version=bindparam("new_version"), state=bindparam("new_state"))
)
SET_ALONE: Final = Statement(
    update(proposal)
    .where(proposal.c.proposal_id == bindparam("of_proposal"))
    .values(proposer=bindparam("new_proposer"), propose_ms=bindparam("new_propose"), due_ms=bindparam("new_due"))
)
DROP_CLAIM: Final = Statement(delete(claim).where(claim.c.proposal_id == bindparam("of_proposal")))


def release_held(tx: Transaction, released: Released) -> bool:
    """Move a draft on that leaves with this very commit."""
    raw = released.proposal_id.raw
    if not move(tx, raw, released.version, released.state, released.decision):
        return False
    if released.proposer is not None:
        tx.run(
            SET_ALONE,
            of_proposal=raw,
            new_proposer=released.proposer.name,
            new_propose=released.decision.time_ms,
            new_due=released.due_ms,
        )
    add_log(tx, [released.log])
    return True


def move(tx: Transaction, raw: bytes, version: int, state: ApprovalState, row: DecisionRow) -> bool:
    """Move a draft on; False when its version is another one."""
    moved = tx.run(MOVE, of_proposal=raw, old_version=version, new_version=version + 1, new_state=int(state))
    if not moved:
        return False
    tx.insert(
        ADD_DECISION,
        [
            (
                raw,
                row.number,
                int(row.act),
                row.officer,
                " ".join(sorted(row.roles)),
                " ".join(sorted(row.rules)),
                row.ground,
                row.digest,
                row.time_ms,
                row.words_sealed,
            )
        ],
    )
    if not MACHINE.rows[state]:
        tx.run(DROP_CLAIM, of_proposal=raw)
    tx.touch("held")
    return True
