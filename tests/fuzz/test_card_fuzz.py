"""Bytes and bent values into cards, card files, certificates and requests for them: a value, or a typed error.

Bent cards carry good signatures: whoever has a partner's identity key chooses every byte of its card.
"""

import asyncio
import base64

import pytest
from concord.v1 import partner_pb2
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.card_file import format_card_file, parse_card_file
from gateway.clock import SystemClock
from gateway.crypto.cards import (
    fingerprint,
    same_fingerprint,
    seal_key_of,
    verify_first_card,
    verify_next_card,
)
from gateway.crypto.certificates import (
    create_authority,
    der_to_pem,
    issue_gateway,
    issue_requested,
    issue_system,
    new_request,
    pem_to_der,
    root_name,
    spiffe_id,
    validity_ms,
    verify_gateway_chain,
    verify_own_chain,
)
from gateway.crypto.framing import CARD, pae
from gateway.errors import CardRejected
from gateway.ids import PartnerId
from gateway.model.partner import CardSignature, KeyPurpose, SignedCard
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto
from tests.fixtures.hostile import CODEC, HostilePartner
from tests.fuzz.changes import FUZZ, flips, neighbours, sprinkled, taken, taken_async
from tests.sim.nations import Nation, Network

# The library warns of serial numbers that it is going to refuse.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
VN = HostilePartner("vn")
FIRST = VN.signed()
NEXT = VN.follow(FIRST, kinds=("alert", "update"))
CURRENT = verify_first_card(FIRST, CODEC)
NOW_MS = SystemClock().now_ms()


def resigned(card: bytes) -> SignedCard:
    """Return any bytes as a card, signed by the identity key."""
    key = VN.keyring.identity
    signature = CardSignature(KeyPurpose.IDENTITY, key.verify_key.public, key.sign(pae(CARD, b"identity", card)))
    return SignedCard(card=card, signatures=(signature,))


def travelled(data: bytes) -> SignedCard:
    """Return a card from the bytes in which it travels and lies in files."""
    try:
        return signed_card_from_proto(partner_pb2.SignedCard.FromString(data))
    except DecodeError:
        raise CardRejected("the guard and the command line refuse this") from None


def first(data: bytes) -> None:
    assert verify_first_card(travelled(data), CODEC).card == CURRENT.card


def following(data: bytes) -> None:
    verified = verify_next_card(travelled(data), current=CURRENT, codec=CODEC)
    assert verified.card.sequence == 2
    assert verified.signed.card == NEXT.card


def test_every_byte_of_a_signed_card():
    for parse, signed in ((first, FIRST), (following, NEXT)):
        data = signed_card_to_proto(signed).SerializeToString()
        assert taken(parse, data)
        # ML-DSA keys and certificates fill most of it, and the signature covers all of it alike.
        for changed in flips(data, [*range(0, len(data), 5), *range(len(data) - 120, len(data))]):
            taken(parse, changed)
        for changed in neighbours(data, range(0, len(data), 41)):
            taken(parse, changed)


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def nation(loop, tmp_path_factory):
    nation = loop.run_until_complete(Nation.start("th", tmp_path_factory.mktemp("cards"), Network()))
    yield nation
    loop.run_until_complete(nation.stop())


def test_every_byte_of_a_card_under_a_good_signature(loop, nation):
    """What stays a card after the change is refused for another reason, or is as good as any card."""
    found = 0
    # Every byte of the head and the rest of the fields; public keys and the certificate fill the middle alike.
    places = [*range(200), *range(200, len(FIRST.card), 7)]
    for changed in flips(FIRST.card, places):
        signed = resigned(changed)
        if taken(lambda item: verify_first_card(item, CODEC), signed):
            found += 1
            card = verify_first_card(signed, CODEC).card
            taken(lambda card: seal_key_of(card, NOW_MS), card)
            for root in card.tls_roots:
                taken(root_name, root)
    assert found


@FUZZ(max_examples=100)
@given(data=st.data())
def test_bent_cards_under_a_good_signature_at_the_directory(loop, nation, data):
    card = partner_pb2.Card.FromString(FIRST.card)
    bend(card, data)
    signed = resigned(data.draw(st.one_of(st.just(card.SerializeToString()), sprinkled(card.SerializeToString()))))
    claimed = fingerprint(VN.keyring.identity.verify_key.public)
    # As an operator adds it, and as a partner shows it.
    loop.run_until_complete(taken_async(lambda item: nation.directory.add(item, claimed), signed))
    loop.run_until_complete(taken_async(lambda item: nation.directory.offer(VN.partner, item), signed))
    nation.directory.tls_roots()


WORDS = st.one_of(st.text(max_size=20), st.sampled_from(("", "th", "vn/x/y", "\x00", "\u202e", "x" * 5000, "[::1]:1")))
NUMBERS = st.one_of(st.integers(0, 2**31 - 1), st.sampled_from((0, 2**63 - 1, 253_402_300_799, -1, -(2**63))))


def bend(card: partner_pb2.Card, data) -> None:
    """Change a few fields of a card."""
    for _ in range(data.draw(st.integers(1, 3))):
        match data.draw(st.integers(0, 11)):
            case 0:
                card.partner = data.draw(WORDS)
            case 1:
                card.sequence = data.draw(st.integers(0, 2**64 - 1))
            case 2:
                card.create_time.seconds = data.draw(NUMBERS)
                card.create_time.nanos = data.draw(st.integers(-(2**31), 2**31 - 1))
            case 3:
                card.tls_roots.append(data.draw(sprinkled(bytes(card.tls_roots[0]))))
            case 4:
                card.endpoints.append(data.draw(WORDS))
            case 5:
                card.time_zone = data.draw(WORDS)
            case 6:
                card.languages.append(data.draw(WORDS))
            case 7:
                card.suites.append(data.draw(st.integers(0, 2**32 - 1)))
            case 8:
                key = card.keys[data.draw(st.integers(0, len(card.keys) - 1))]
                key.public_key = data.draw(st.one_of(st.binary(max_size=40), sprinkled(key.public_key)))
            case 9:
                key = card.keys[data.draw(st.integers(0, len(card.keys) - 1))]
                key.purpose = data.draw(st.integers(0, 9))
                key.end_time.seconds = data.draw(NUMBERS)
            case 10:
                card.keys.add().CopyFrom(card.keys[data.draw(st.integers(0, len(card.keys) - 1))])
            case 11:
                card.names[0].name = data.draw(WORDS)


def test_every_byte_of_a_card_file():
    data = signed_card_to_proto(FIRST).SerializeToString()
    text = format_card_file(data, partner="vn", sequence=1, fingerprint="1 2").encode()
    assert parse_card_file(text) == data

    def as_the_command_does(changed: bytes) -> None:
        first(parse_card_file(changed))

    assert taken(as_the_command_does, text)
    head = text.index(b"\n\n") + 70
    for changed in neighbours(text, [*range(head), *range(head, len(text), 29), *range(len(text) - 40, len(text))]):
        taken(as_the_command_does, changed)


@FUZZ(max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode())))
def test_any_bytes_as_a_card_and_as_a_card_file(data):
    taken(first, data)
    taken(parse_card_file, data)
    taken(parse_card_file, b"-----BEGIN CONCORD CARD-----\na: b\n\n" + data + b"\n-----END CONCORD CARD-----\n")
    taken(lambda item: verify_first_card(resigned(item), CODEC), data)


@FUZZ(max_examples=200)
@given(st.text(max_size=60), st.integers(0, 50), st.sampled_from("0٣५９x -"))
def test_fingerprints_of_any_text(text, at, digit):
    mine = fingerprint(VN.keyring.identity.verify_key.public)
    assert not same_fingerprint(text, mine)
    changed = mine[:at] + digit + mine[at + 1 :]
    assert same_fingerprint(changed, mine) == (changed.replace(" ", "").replace("-", "") == mine.replace(" ", ""))


# --- certificates ------------------------------------------------------------------------------------------------

AUTHORITY = create_authority(PartnerId("vn"), NOW_MS)
ROOT = pem_to_der(AUTHORITY[1])
GATEWAY = pem_to_der(issue_gateway(AUTHORITY, PartnerId("vn"), NOW_MS)[1])
SYSTEM = pem_to_der(issue_system(AUTHORITY, PartnerId("vn"), "early-warning", NOW_MS)[1])
REQUEST = new_request()[1]


def chain(data: bytes) -> None:
    for form in (data, b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"):
        # Whose key is not the authority's cannot change what is signed.
        assert verify_gateway_chain(form, (), (ROOT,), NOW_MS) == PartnerId("vn")


def own_chain(data: bytes) -> None:
    assert verify_own_chain(data, (), (ROOT,), NOW_MS) == (PartnerId("vn"), "system", "early-warning")


def between(data: bytes) -> None:
    verify_gateway_chain(GATEWAY, (data,), (ROOT,), NOW_MS)


def root(data: bytes) -> None:
    verify_gateway_chain(GATEWAY, (), (data,), NOW_MS)


def requested(data: bytes) -> None:
    issue_requested(AUTHORITY, PartnerId("vn"), role="system", name="hotline", request=data, now_ms=NOW_MS)


def requested_der(data: bytes) -> None:
    body = base64.encodebytes(data)
    requested(b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n")


REQUEST_DER = x509.load_pem_x509_csr(REQUEST).public_bytes(Encoding.DER)
PARSERS = {
    chain: GATEWAY,
    own_chain: SYSTEM,
    between: ROOT,
    root: ROOT,
    root_name: ROOT,
    spiffe_id: SYSTEM,
    validity_ms: GATEWAY,
    der_to_pem: ROOT,
    pem_to_der: AUTHORITY[1],
    requested: REQUEST,
    requested_der: REQUEST_DER,
}


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
def test_every_byte_of_a_certificate(parse):
    data = PARSERS[parse]
    assert taken(parse, data)
    step = 1 if parse in {root_name, spiffe_id, validity_ms, requested_der} else 2
    for changed in flips(data, range(0, len(data), step)):
        taken(parse, changed)
    for changed in neighbours(data, range(0, len(data), 11)):
        taken(parse, changed)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@FUZZ(max_examples=40)
@given(data=st.data())
def test_sprinkled_certificates(parse, data):
    taken(parse, data.draw(sprinkled(PARSERS[parse])))
    taken(parse, data.draw(st.binary(max_size=100)))
