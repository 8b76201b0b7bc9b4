"""Who must decide on a held draft, as one column: a line a rule, its roles and the number of officers."""

from gateway.errors import FieldInvalid, StoreCorrupt
from gateway.workflow.approval import Need


def pack_needs(needs: tuple[Need, ...]) -> str:
    """Return the column. Rules and roles are words without spaces."""
    return "\n".join(f"{need.rule} {','.join(sorted(need.roles))} {need.number}" for need in needs)


def unpack_needs(text: str) -> tuple[Need, ...]:
    """Return who must decide.

    Raises:
        StoreCorrupt: Not a column of ours.
    """
    try:
        rows = [line.split(" ") for line in text.splitlines()]
        return tuple(Need(rule, frozenset(roles.split(",")), int(number)) for rule, roles, number in rows)
    except (ValueError, FieldInvalid):
        raise StoreCorrupt("what a held draft waits for is damaged") from None
