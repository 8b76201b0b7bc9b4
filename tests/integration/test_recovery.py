"""A gateway whose keyring was stolen is taken back with its recovery key, and its partner follows by itself.

Two real gateways and a thief who holds everything that was in the keyring.
"""

import contextlib
import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as exchange_pb
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from adapters.carriers.grpc_link import GrpcCarrier
from gateway.cli import main
from gateway.cli.admin import AdminClient
from gateway.cli.partner import read_card
from gateway.clock import SystemClock
from gateway.crypto.cards import VerifiedCard, card_digest, fingerprint, sign_card, verify_first_card
from gateway.crypto.certificates import create_authority, issue_system, pem_to_der
from gateway.crypto.keys import SignKey
from gateway.errors import PartnerUnreachable
from gateway.ids import PartnerId
from gateway.installation import open_home
from gateway.installation.passphrases import read_passphrase
from gateway.model.partner import KeyPurpose, SignedCard
from gateway.ports import LinkIdentity
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.partner import signed_card_from_proto
from tests.fixtures.gateways import eventually
from tests.fixtures.killing_gateway import unstretched_passphrases
from tests.fixtures.quick_gateways import QuickGateway, introduce

CODEC = WireCodec()
BACK_OFF_S = 75.0
"""A partner that was away for long is tried again after a minute at the latest (gateway.exchange.schedule)."""
ALERT = Path(__file__).parents[2] / "examples" / "alerts" / "mekong-typhoon.xml"


@pytest.fixture
def base():
    # A short path: pytest's own may be too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="c-"))
    yield path
    shutil.rmtree(path)


class Recoverable(QuickGateway):
    """A gateway with a recovery key."""

    def init(self) -> None:
        self.command(
            "init", self.code, "--mode", self.mode,
            "--listen-federation", f"127.0.0.1:{self.federation_port}",
            "--listen-exchange", f"127.0.0.1:{self.exchange_port}",
            "--generate-passphrase-file", self.passphrase_file,
            "--recovery-file", self.recovery_file, "--generate-recovery-passphrase-file", self.recovery_passphrase_file,
        )  # fmt: skip

    @property
    def recovery_file(self) -> Path:
        return self.home.parent / f"{self.code}.recovery"

    @property
    def recovery_passphrase_file(self) -> Path:
        return self.home.parent / f"{self.code}.recovery-passphrase"

    def command(self, *words: object, expect: int = 0) -> tuple[str, str]:
        """Run a command in this process; return what it printed."""
        with (
            unstretched_passphrases(),
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = main(["--home", str(self.home), *map(str, words)])
        assert code == expect, err.getvalue()
        return out.getvalue(), err.getvalue()

    def recover(self, *words: str, expect: int = 0) -> tuple[VerifiedCard, str]:
        """Run the emergency; return the card it printed and what it said."""
        out, told = self.command(
            "partner", "recover", "--yes", "--passphrase-file", self.passphrase_file,
            "--recovery-file", self.recovery_file, "--recovery-passphrase-file", self.recovery_passphrase_file,
            *words, expect=expect,
        )  # fmt: skip
        if expect:
            return None, told
        self.card_file.write_text(out)
        return read_card(self.card_file)[1], told

    @property
    def card_file(self) -> Path:
        return self.home.parent / f"{self.code}.card"


@pytest.fixture
def pair(base):
    gateways = [Recoverable("th", base / "th"), Recoverable("vn", base / "vn")]
    try:
        introduce(gateways)
        yield gateways
    finally:
        for gateway in gateways:
            gateway.kill()


class Thief:
    """Holds th's keyring and knows the cards of both."""

    def __init__(self, th: Recoverable, vn: Recoverable) -> None:
        with unstretched_passphrases():
            self.keyring = open_home(th.home, read_passphrase(th.passphrase_file)).keyring
        self.identity = SignKey.generate()
        self.vn_card = CODEC.decode_card(own_card(vn).card)
        self.th_card = CODEC.decode_card(own_card(th).card)
        self.digest = card_digest(own_card(th).card)

    def link_identity(self) -> LinkIdentity:
        ring = self.keyring
        return LinkIdentity(
            partner=ring.partner, certificate_chain_pem=ring.tls_certificate_pem, private_key_pem=ring.tls_key_pem
        )

    def card(self, number: int):
        """A card that hands th over to the thief's own identity key, signed by the stolen one."""
        keys = tuple(
            replace(key, public_key=self.identity.verify_key.public) if key.purpose is KeyPurpose.IDENTITY else key
            for key in self.th_card.keys
        )
        card = replace(self.th_card, sequence=number, previous_digest=self.digest, keys=keys)
        return sign_card(card, identity=self.identity, previous_identity=self.keyring.identity, codec=CODEC)

    async def show(self, number: int) -> None:
        await GrpcCarrier().fetch_card(self.link_identity(), self.vn_card, self.card(number))


def own_card(gateway: Recoverable) -> SignedCard:
    with AdminClient(gateway.home) as admin:
        return signed_card_from_proto(admin.own_card().card)


def known(gateway: Recoverable, partner: str) -> tuple[int, str]:
    """Number and fingerprint of the card that a gateway holds of a partner."""
    with AdminClient(gateway.home) as admin:
        view = next(view for view in admin.partners().partners if view.partner == partner)
        return view.card_sequence, view.fingerprint


def identity_of(card: VerifiedCard) -> str:
    return fingerprint(card.card.keys_for(KeyPurpose.IDENTITY)[0].public_key)


def send(sender: Recoverable, recipient: str, *more: str) -> None:
    sender.command("send", "alert", ALERT, "--to", recipient, *more)


def warned(gateway: Recoverable) -> bool:
    with AdminClient(gateway.home) as admin:
        return any("rotate tls" in warning for warning in admin.status().warnings)


async def refused(call) -> str:
    with pytest.raises(PartnerUnreachable) as refusal:
        await call
    return refusal.value.text


def inbox(gateway: Recoverable) -> int:
    with AdminClient(gateway.home) as admin:
        return len(admin.inbox(100, "").messages)


async def may_call(th: Recoverable, key_pem: bytes, certificate_pem: bytes) -> bool:
    roots = (th.home / "certs" / "authority.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(roots, key_pem, certificate_pem)
    async with grpc.aio.secure_channel(f"localhost:{th.exchange_port}", credentials) as channel:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await ExchangeServiceStub(channel).ListMessages(exchange_pb.ListMessagesRequest(), timeout=5)
            return True
    return False


async def test_stolen_gateway_is_taken_back_and_its_partner_follows(pair):
    th, vn = pair
    thief = Thief(th, vn)
    # A running gateway holds its keyring in memory and would write it back.
    assert "STORE_UNAVAILABLE" in th.recover(expect=2)[1]

    # Alerts wait on both sides, sealed and signed with the keys that are about to be revoked.
    vn.stop()
    send(th, "vn")
    th.stop()
    vn.start()
    send(vn, "th")

    # The thief hands th over to himself; nothing tells his card from a true one yet.
    await thief.show(2)
    assert known(vn, "th") == (2, fingerprint(thief.identity.verify_key.public))

    recovered, told = th.recover()
    assert recovered.recovery_signed
    ours = identity_of(recovered)
    assert ours in told
    th.start()
    assert own_card(th) == recovered.signed
    await eventually(lambda: known(vn, "th") == (2, ours), BACK_OFF_S)
    await eventually(lambda: (inbox(th), inbox(vn)) == (1, 1), BACK_OFF_S)
    send(th, "vn", "--wait")
    send(vn, "th", "--wait")

    for number in (2, 3):
        assert "CARD_REJECTED" in await refused(thief.show(number))
    thief.identity = thief.keyring.identity
    assert "CARD_REJECTED" in await refused(thief.show(3))
    assert known(vn, "th") == (2, ours)

    # The stolen authority makes certificates of national systems, too.
    ring = thief.keyring
    authority = (ring.authority_key_pem, ring.authority_certificate_pem)
    assert not await may_call(th, *issue_system(authority, ring.partner, "national", SystemClock().now_ms()))
    certificates = th.home / "certs"
    own = [(certificates / f"system-national.{end}").read_bytes() for end in ("key.pem", "pem")]
    assert await may_call(th, *own)

    # Until everybody knows the new authority, links still take the old one.
    await GrpcCarrier().probe(thief.link_identity(), thief.vn_card)
    assert warned(th)
    th.command("partner", "rotate", "tls")
    await eventually(lambda: known(vn, "th") == (3, ours), BACK_OFF_S)
    await refused(GrpcCarrier().probe(thief.link_identity(), thief.vn_card))
    assert not warned(th)
    send(th, "vn", "--wait")
    send(vn, "th", "--wait")


async def test_partner_that_was_away_takes_the_recovered_card_before_what_follows(pair):
    th, vn = pair
    vn.stop()
    th.stop()
    th.recover()
    th.start()
    # Signed by the new identity key alone, of which vn has never heard.
    th.command("partner", "rotate", "seal")
    later = verify_first_card(own_card(th), CODEC)
    assert (later.card.sequence, later.recovery_signed) == (3, False)
    vn.start()
    await eventually(lambda: known(vn, "th") == (3, identity_of(later)), BACK_OFF_S)
    send(vn, "th", "--wait")


async def test_partner_whom_the_thief_has_cut_off_takes_the_card_from_a_file(pair):
    th, vn = pair
    thief = Thief(th, vn)
    root = pem_to_der(create_authority(PartnerId("th"), SystemClock().now_ms())[1])
    thief.th_card = replace(thief.th_card, endpoints=("127.0.0.1:9",), tls_roots=(root,))
    th.stop()
    # Far ahead, so that the next number in th's own sequence would come too late.
    await thief.show(7)
    recovered, _ = th.recover("--above", "7")
    assert recovered.card.sequence == 8
    vn.command("partner", "add", th.card_file, "--fingerprint", identity_of(recovered))
    th.start()
    send(vn, "th", "--wait")
    send(th, "vn", "--wait")


async def test_second_recovery_before_the_first_has_reached_anybody_is_believed(pair):
    th, vn = pair
    vn.stop()
    th.stop()
    first, _ = th.recover()
    second, _ = th.recover()
    assert (first.card.sequence, second.card.sequence) == (2, 3)
    th.start()
    vn.start()
    await eventually(lambda: known(vn, "th") == (3, identity_of(second)), BACK_OFF_S)
    send(vn, "th", "--wait")
