"""Shows a partner our newest checkpoint and what we saw of its log, and hears the same from it."""

import structlog

from gateway.errors import LogForked, LogInconsistent, LogRolledBack, PartnerUnreachable, Rejected
from gateway.exchange.keep_log import LogKeeper
from gateway.model.partner import Card
from gateway.ports import Carrier, LinkIdentity

log = structlog.get_logger(__name__)


async def share_checkpoints(keeper: LogKeeper, carrier: Carrier, identity: LinkIdentity, card: Card) -> None:
    """Exchange checkpoints with the partner of a card.

    Messages go on whatever a log says, or a partner says of ours: people wait for them. Operators are told.
    """
    partner = card.partner
    try:
        theirs, seen = await carrier.exchange_checkpoints(
            identity, card, await keeper.newest(), await keeper.seen_of(partner)
        )
    except PartnerUnreachable as error:
        # Whether the line still carries, its frames find out.
        log.warning("checkpoint.not_exchanged", partner=partner.code, reason=error.reason)
        return
    for hear, note in ((keeper.hear_own, seen), (keeper.hear_partner, theirs)):
        try:
            await hear(partner, note)
        except (Rejected, LogForked, LogRolledBack, LogInconsistent) as error:
            log.warning("checkpoint.rejected", partner=partner.code, reason=error.reason)
