"""Cards: proto to model and back.

Fields of a card that this version does not know are passed over: cards are how partners of different versions
find out about one another, and the signed bytes are kept as they came.
"""

from collections.abc import Iterable
from typing import Final

from concord.v1 import partner_pb2 as pb

from gateway.errors import FieldInvalid
from gateway.model.partner import (
    Card,
    CardKey,
    CardSignature,
    Desk,
    KeyPurpose,
    LocalName,
    SignedCard,
)
from gateway.model.text import check_identifier, check_text
from gateway.rpc.convert.field import (
    check_rules,
    parse,
    partner_from_text,
    set_time,
    sized,
    time_from_proto,
)

MAX_CARD_BYTES: Final = 65_536
"""partner.proto, SignedCard.card."""
MAX_SEQUENCE: Final = (1 << 63) - 1
"""What a database keeps."""
_KEY_BYTES: Final = {pb.KEY_PURPOSE_SEAL: 1216, pb.KEY_PURPOSE_LOG_COSIGN: 1312}
_SIGNERS: Final = frozenset({pb.KEY_PURPOSE_IDENTITY, pb.KEY_PURPOSE_RECOVERY})


def _identifier(value: str, parent: str, name: str) -> str:
    check_identifier(value, f"{parent}.{name}")
    return value


def _identifiers(values: Iterable[str], parent: str, name: str) -> tuple[str, ...]:
    return tuple(_identifier(value, parent, f"{name}[{index}]") for index, value in enumerate(values))


def _text(value: str, parent: str, name: str) -> str:
    check_text(value, f"{parent}.{name}")
    return value


def _names_from_proto(names: Iterable[pb.LocalName], parent: str) -> tuple[LocalName, ...]:
    return tuple(
        LocalName(
            _identifier(item.language, f"{parent}.names[{index}]", "language"),
            _text(item.name, f"{parent}.names[{index}]", "name"),
        )
        for index, item in enumerate(names)
    )


def _names_to_proto(names: Iterable[LocalName]) -> list[pb.LocalName]:
    return [pb.LocalName(language=item.language, name=item.name) for item in names]


def _key_from_proto(key: pb.CardKey, parent: str) -> CardKey:
    expected_bytes = _KEY_BYTES.get(key.purpose, 32)
    if len(key.public_key) != expected_bytes:
        raise FieldInvalid(f"{parent}.public_key", f"must be {expected_bytes} bytes for this purpose")
    return CardKey(
        purpose=KeyPurpose(key.purpose),
        public_key=key.public_key,
        start_ms=time_from_proto(key.start_time, f"{parent}.start_time"),
        end_ms=time_from_proto(key.end_time, f"{parent}.end_time"),
        revoke_ms=time_from_proto(key.revoke_time, f"{parent}.revoke_time") if key.HasField("revoke_time") else None,
    )


def _key_to_proto(key: CardKey) -> pb.CardKey:
    message = pb.CardKey(purpose=key.purpose.value, public_key=key.public_key)  # type: ignore[arg-type]
    set_time(message.start_time, key.start_ms)
    set_time(message.end_time, key.end_ms)
    if key.revoke_ms is not None:
        set_time(message.revoke_time, key.revoke_ms)
    return message


def _desk_from_proto(desk: pb.Desk, parent: str) -> Desk:
    return Desk(
        id=_identifier(desk.id, parent, "id"),
        names=_names_from_proto(desk.names, parent),
        telephone=_identifier(desk.telephone, parent, "telephone"),
        time_zone=_identifier(desk.time_zone, parent, "time_zone"),
        languages=_identifiers(desk.languages, parent, "languages"),
    )


def _desk_to_proto(desk: Desk) -> pb.Desk:
    return pb.Desk(
        id=desk.id,
        names=_names_to_proto(desk.names),
        telephone=desk.telephone,
        time_zone=desk.time_zone,
        languages=desk.languages,
    )


def encode_card(card: Card) -> bytes:
    """Return the card's bytes, made once by its partner."""
    message = pb.Card(
        partner=card.partner.code,
        sequence=card.sequence,
        previous_digest=card.previous_digest,
        names=_names_to_proto(card.names),
        keys=[_key_to_proto(key) for key in card.keys],
        tls_roots=card.tls_roots,
        endpoints=card.endpoints,
        desks=[_desk_to_proto(desk) for desk in card.desks],
        time_zone=card.time_zone,
        languages=card.languages,
        kinds=card.kinds,
        suites=card.suites,
    )
    set_time(message.create_time, card.create_ms)
    return message.SerializeToString(deterministic=True)


def decode_card(data: bytes) -> Card:
    """Return the card, not verified.

    Raises:
        MessageMalformed: Not a card.
        FieldInvalid: A field breaks a rule.
    """
    message = parse(pb.Card, data, "card", MAX_CARD_BYTES)
    check_rules(message, "card")
    if message.sequence > MAX_SEQUENCE:
        raise FieldInvalid("card.sequence", f"must be at most {MAX_SEQUENCE}")
    return Card(
        partner=partner_from_text(message.partner, "card.partner"),
        sequence=message.sequence,
        previous_digest=sized(message.previous_digest, 32, "card.previous_digest"),
        create_ms=time_from_proto(message.create_time, "card.create_time"),
        names=_names_from_proto(message.names, "card"),
        keys=tuple(_key_from_proto(key, f"card.keys[{index}]") for index, key in enumerate(message.keys)),
        tls_roots=tuple(message.tls_roots),
        endpoints=tuple(
            _identifier(item, "card", f"endpoints[{index}]") for index, item in enumerate(message.endpoints)
        ),
        desks=tuple(_desk_from_proto(desk, f"card.desks[{index}]") for index, desk in enumerate(message.desks)),
        time_zone=_identifier(message.time_zone, "card", "time_zone"),
        languages=_identifiers(message.languages, "card", "languages"),
        kinds=_identifiers(message.kinds, "card", "kinds"),
        suites=tuple(message.suites),
    )


def signed_card_from_proto(signed: pb.SignedCard) -> SignedCard:
    """Return the card as it travels, not verified.

    Raises:
        FieldInvalid: A rule is broken, or a signature's key has no known purpose.
    """
    check_rules(signed, "card")
    if not all(item.purpose in _SIGNERS for item in signed.signatures):
        raise FieldInvalid("card.signatures.purpose", "must be identity or recovery")
    return SignedCard(
        card=signed.card,
        signatures=tuple(
            CardSignature(KeyPurpose(item.purpose), item.public_key, item.signature) for item in signed.signatures
        ),
    )


def signed_card_to_proto(signed: SignedCard) -> pb.SignedCard:
    """Return the card as it travels."""
    return pb.SignedCard(
        card=signed.card,
        signatures=[
            pb.CardSignature(
                purpose=item.purpose.value,  # type: ignore[arg-type]
                public_key=item.public_key,
                signature=item.signature,
            )
            for item in signed.signatures
        ],
    )
