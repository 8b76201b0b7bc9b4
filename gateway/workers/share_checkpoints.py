"""Shows a partner our newest checkpoint and what we saw of its log, and hears the same from it."""

import structlog

from gateway.errors import LogForked, LogInconsistent, LogRolledBack, PartnerLogWentBack, PartnerUnreachable, Rejected
from gateway.exchange.keep_log import LogKeeper
from gateway.ids import PartnerId
from gateway.model.partner import Card
from gateway.ports import Carrier, LinkIdentity, ShownLogs

log = structlog.get_logger(__name__)


async def share_checkpoints(keeper: LogKeeper, carrier: Carrier, identity: LinkIdentity, card: Card) -> None:
    """Exchange checkpoints with the partner of a card.

    Messages go on whatever a log says, or a partner says of ours: people wait for them. Operators are told.
    """
    partner = card.partner
    proven_from = keeper.known_to(partner)
    # A second time when the partner saw less of our log, or more, than we believed, and wants the proof from there.
    for _ in range(2):
        shown = await keeper.show(partner, proven_from)
        try:
            answer = await carrier.exchange_checkpoints(identity, card, shown)
        except PartnerUnreachable as error:
            # Whether the line still carries, its frames find out.
            log.warning("checkpoint.not_exchanged", partner=partner.code, reason=error.reason)
            return
        await _hear(keeper, partner, shown, answer)
        if answer.seen == shown.checkpoint or keeper.known_to(partner) in {0, shown.proven_from}:
            return
        proven_from = keeper.known_to(partner)


async def _hear(keeper: LogKeeper, partner: PartnerId, shown: ShownLogs, answer: ShownLogs) -> None:
    try:
        await keeper.hear_own(partner, answer.seen)
    except (Rejected, LogRolledBack, LogInconsistent) as error:
        log.warning("checkpoint.own_rejected", partner=partner.code, reason=error.reason)
    try:
        await keeper.theirs.hear(
            partner,
            answer.checkpoint,
            proven_from=answer.proven_from,
            consistency=answer.consistency,
            asked=shown.seen,
            beginning=answer.beginning,
        )
    except (LogForked, PartnerLogWentBack) as error:
        log.critical("checkpoint.contradicts", partner=partner.code, reason=error.reason)
    except Rejected as error:
        log.warning("checkpoint.rejected", partner=partner.code, reason=error.reason)
