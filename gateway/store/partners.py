"""Partners and their cards. Cards follow one another by compare-and-swap, so none is rolled back."""

from typing import Final

from sqlalchemy import and_, bindparam, delete, func, select, update

from gateway.ids import PartnerId
from gateway.model.partner import CardSignature, KeyPurpose, SignedCard
from gateway.ports import FreezePartner, NoteSuccess, PartnerRow, Partners, PutCard, RemovePartner
from gateway.store.log import add_log
from gateway.store.statement import Insert, Statement, constant
from gateway.store.tables import WAITING, acknowledgement, card, card_signature, outbox, partner
from gateway.store.transaction import Session, Transaction

LOCK_PARTNER: Final = Statement(
    select(partner.c.sequence).where(partner.c.partner == bindparam("of_partner")).with_for_update()
)
ADD_PARTNER: Final = Insert(partner)
SET_CURRENT: Final = Statement(
    update(partner)
    .where(partner.c.partner == bindparam("of_partner"))
    .values(sequence=bindparam("new_sequence"), digest=bindparam("new_digest"))
)
ADD_CARD: Final = Insert(card, skip_known=True)
DROP_SIGNATURES: Final = Statement(
    delete(card_signature).where(
        card_signature.c.partner == bindparam("of_partner"), card_signature.c.digest == bindparam("of_digest")
    )
)
ADD_SIGNATURES: Final = Insert(card_signature)
FREEZE: Final = Statement(
    update(partner).where(partner.c.partner == bindparam("of_partner")).values(frozen=bindparam("new_frozen"))
)
COUNT_WAITING: Final = Statement(
    select(func.count())
    .select_from(outbox)
    .where(outbox.c.state == constant(WAITING), outbox.c.partner == bindparam("of_partner"))
)
REMOVE: Final = Statement(delete(partner).where(partner.c.partner == bindparam("of_partner")))
DROP_RECEIPTS: Final = Statement(
    update(acknowledgement)
    .where(acknowledgement.c.partner == bindparam("of_partner"), acknowledgement.c.waiting == constant(1))
    .values(waiting=constant(0))
)
NOTE_SUCCESS: Final = Statement(
    update(partner).where(partner.c.partner == bindparam("of_partner")).values(last_success_ms=bindparam("now_ms"))
)
ALL: Final = Statement(
    select(partner.c.partner, card.c.card, partner.c.sequence, partner.c.frozen, partner.c.last_success_ms)
    .join(card, and_(card.c.partner == partner.c.partner, card.c.digest == partner.c.digest))
    .order_by(partner.c.partner)
)
ALL_SIGNATURES: Final = Statement(
    select(card_signature.c.partner, card_signature.c.purpose, card_signature.c.public_key, card_signature.c.signature)
    .join(
        partner,
        and_(card_signature.c.partner == partner.c.partner, card_signature.c.digest == partner.c.digest),
    )
    .order_by(card_signature.c.partner, card_signature.c.place)
)


def put_card(tx: Transaction, operation: PutCard) -> bool:
    """Store a card as the current one."""
    code = operation.partner.code
    row = tx.row(LOCK_PARTNER, of_partner=code)
    if (row[0] if row else 0) != operation.expected_sequence:
        return False
    if row is None:
        tx.insert(ADD_PARTNER, [(code, operation.sequence, operation.digest, 0, None)])
    else:
        tx.run(SET_CURRENT, of_partner=code, new_sequence=operation.sequence, new_digest=operation.digest)
    tx.insert(ADD_CARD, [(code, operation.digest, operation.sequence, operation.card.card, operation.now_ms)])
    tx.run(DROP_SIGNATURES, of_partner=code, of_digest=operation.digest)
    tx.insert(
        ADD_SIGNATURES,
        [
            (code, operation.digest, place, int(item.purpose), item.public_key, item.signature)
            for place, item in enumerate(operation.card.signatures)
        ],
    )
    add_log(tx, [operation.log])
    tx.touch("cards")
    return True


def freeze_partner(tx: Transaction, operation: FreezePartner) -> bool:
    """Freeze or thaw."""
    if not tx.run(FREEZE, of_partner=operation.partner.code, new_frozen=int(operation.frozen)):
        return False
    add_log(tx, [operation.log])
    tx.touch("cards")
    tx.touch_outbox(operation.partner.code)
    return True


def remove_partner(tx: Transaction, operation: RemovePartner) -> int | None:
    """Forget a partner for whom nothing waits. Its cards stay: they say whose keys signed what is kept."""
    code = operation.partner.code
    if tx.row(LOCK_PARTNER, of_partner=code) is None:
        return None
    (waiting,) = tx.row(COUNT_WAITING, of_partner=code) or (0,)
    if waiting:
        return int(waiting)
    tx.run(REMOVE, of_partner=code)
    tx.run(DROP_RECEIPTS, of_partner=code)
    add_log(tx, [operation.log])
    tx.touch("cards")
    tx.touch_outbox(code)
    return 0


def note_success(tx: Transaction, operation: NoteSuccess) -> None:
    """Remember when a partner was last heard from."""
    tx.run(NOTE_SUCCESS, of_partner=operation.partner.code, now_ms=operation.now_ms)


def partners(session: Session, _: Partners) -> tuple[PartnerRow, ...]:
    """Return all partners."""
    signatures: dict[str, list[CardSignature]] = {}
    for code, purpose, public_key, signature in session.rows(ALL_SIGNATURES):
        signatures.setdefault(code, []).append(CardSignature(KeyPurpose(purpose), public_key, signature))
    return tuple(
        PartnerRow(
            partner=PartnerId(code),
            card=SignedCard(blob, tuple(signatures.get(code, ()))),
            sequence=sequence,
            frozen=bool(frozen),
            last_success_ms=last_success_ms,
        )
        for code, blob, sequence, frozen, last_success_ms in session.rows(ALL)
    )
