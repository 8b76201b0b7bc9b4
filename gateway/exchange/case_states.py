"""Which messages of ours a case allows now; the store asks the same again in the commit."""

from collections.abc import Sequence

from gateway.errors import FieldInvalid, GatewayError, NotFound, StateConflict
from gateway.ids import PartnerId, ThreadId
from gateway.model.message import Draft
from gateway.ports import AlertEntry, CaseEntry, FindCases, Store
from gateway.workflow.case import Case, follow
from gateway.workflow.table import Cause


class CaseStates:
    """Looks up cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def check(self, draft: Draft, thread: ThreadId, entry: AlertEntry | CaseEntry | None) -> None:
        """Check one draft.

        Raises:
            StateConflict: Not possible now, or not for us; the text says what is.
            FieldInvalid: It names a measure that the request does not have.
        """
        (refusal,) = await self.refusals([(draft, thread, entry)])
        if refusal is not None:
            raise refusal

    async def refusals(
        self, drafts: Sequence[tuple[Draft, ThreadId, AlertEntry | CaseEntry | None]]
    ) -> list[GatewayError | None]:
        """Return why each draft may not leave; None where it may. Each is judged behind those before it."""
        threads = tuple(
            {
                thread: None
                for draft, thread, entry in drafts
                if draft.thread_id is not None and isinstance(entry, CaseEntry)
            }
        )
        found = await self._store.read(FindCases(threads=threads)) if threads else ()
        cases: dict[tuple[ThreadId, PartnerId], Case | None] = {(row.thread_id, row.partner): row.case for row in found}
        return [
            _refusal(draft, thread, entry, cases) if isinstance(entry, CaseEntry) else None
            for draft, thread, entry in drafts
        ]


def _refusal(
    draft: Draft, thread: ThreadId, entry: CaseEntry, cases: dict[tuple[ThreadId, PartnerId], Case | None]
) -> GatewayError | None:
    after = {}
    try:
        for partner in draft.recipients:
            before = cases.get((thread, partner))
            after[thread, partner], _ = follow(
                before, entry.opening, entry.deeds, cause=Cause.OFFICER, partner=partner.code
            )
    except NotFound:
        return FieldInvalid("draft.body.measures", "names no measure of the request")
    except StateConflict as error:
        return error
    cases |= after
    return None
