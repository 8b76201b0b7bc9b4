import dataclasses

import pytest

from gateway.crypto.certificates import create_authority, issue_gateway, issue_system, pem_to_der
from gateway.errors import CallerUnknown, PartnerFrozen, PartnerUnknown
from gateway.ids import PartnerId
from gateway.model.partner import Card
from gateway.rpc import callers
from gateway.rpc.callers import (
    JUDGED_FOR_MS,
    REMEMBERED,
    PartnerAuthenticator,
    Presented,
    SocketAuthenticator,
    SystemAuthenticator,
    presented_by,
)
from gateway.rpc.methods import CallerKind, Listener
from gateway.rpc.rejected import REJECTED_KEPT, RejectedCallers

NOW = 1_795_000_000_000
DAY = 86_400_000
TH, VN = PartnerId("th"), PartnerId("vn")
AUTHORITY, OTHER = create_authority(VN, NOW), create_authority(VN, NOW)
ROOT, OTHER_ROOT = pem_to_der(AUTHORITY[1]), pem_to_der(OTHER[1])
_, GATEWAY = issue_gateway(AUTHORITY, VN, NOW)


class Clock:
    def __init__(self):
        self.ms = NOW

    def now_ms(self):
        return self.ms


class Cards:
    def __init__(self):
        self.roots = (ROOT,)
        self.frozen = False

    def card(self, partner):
        if partner != VN:
            raise PartnerUnknown(partner.code)
        return Card(
            partner=VN,
            sequence=1,
            previous_digest=b"",
            create_ms=0,
            names=(),
            keys=(),
            tls_roots=self.roots,
            endpoints=(),
            desks=(),
            time_zone="",
            languages=(),
            kinds=(),
            suites=(),
        )

    def usable(self, partner):
        if self.frozen:
            raise PartnerFrozen(partner.code)
        return self.card(partner)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cards():
    return Cards()


@pytest.fixture
def partners(cards, clock):
    return PartnerAuthenticator(cards, clock)


def shown(leaf: bytes = GATEWAY, *intermediates: bytes, address: str = "ipv4:10.0.0.1:4711") -> Presented:
    return Presented(address, leaf, intermediates)


@pytest.fixture
def verifications(monkeypatch):
    """Counts how often a chain is really verified."""
    counted = []
    verify = callers.verify_gateway_chain

    def counting(*arguments):
        counted.append(arguments)
        return verify(*arguments)

    monkeypatch.setattr(callers, "verify_gateway_chain", counting)
    return counted


def test_a_chain_is_verified_once_a_minute_wherever_it_is_shown(partners, clock, verifications):
    for port in range(5):
        caller = partners.identify(shown(address=f"ipv4:10.0.0.1:{port}"))
        assert (caller.kind, caller.partner, caller.principal) == (CallerKind.PARTNER, VN, "partner/vn")
        clock.ms += JUDGED_FOR_MS // 5
    assert len(verifications) == 1
    partners.identify(shown())
    assert len(verifications) == 2


def test_a_certificate_that_expires_while_its_connection_lives_is_refused(partners, clock):
    partners.identify(shown())
    clock.ms += 398 * DAY
    with pytest.raises(CallerUnknown):
        partners.identify(shown())


def test_a_clock_set_back_does_not_keep_an_old_judgement(partners, clock, verifications):
    partners.identify(shown())
    clock.ms -= 1000
    partners.identify(shown())
    assert len(verifications) == 2


def test_other_roots_in_the_card_count_at_once(partners, cards):
    partners.identify(shown())
    cards.roots = (OTHER_ROOT,)
    with pytest.raises(CallerUnknown):
        partners.identify(shown())


def test_a_refused_chain_is_not_remembered_as_good(partners, cards):
    cards.roots = (OTHER_ROOT,)
    for _ in range(2):
        with pytest.raises(CallerUnknown):
            partners.identify(shown())
    cards.roots = (ROOT,)
    assert partners.identify(shown()).partner == VN


def test_only_the_partner_itself_learns_that_it_is_frozen(partners, cards):
    cards.frozen = True
    with pytest.raises(PartnerFrozen):
        partners.identify(shown())
    with pytest.raises(CallerUnknown):
        partners.identify(shown(issue_gateway(OTHER, VN, NOW)[1]))


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"\x30\x03\x02\x01\x01",
        AUTHORITY[1],
        issue_system(AUTHORITY, VN, "early-warning", NOW)[1],
    ],
    ids=["none", "junk", "der junk", "an authority", "a system"],
)
def test_what_is_no_gateways_certificate_is_refused(partners, leaf):
    with pytest.raises(CallerUnknown):
        partners.identify(shown(leaf))


def test_intermediates_beside_the_leaf_are_part_of_what_is_judged(partners, verifications):
    partners.identify(shown())
    partners.identify(shown(GATEWAY, AUTHORITY[1]))
    assert [len(arguments[1]) for arguments in verifications] == [0, 1]


def test_a_flood_of_certificates_does_not_fill_the_memory(partners, monkeypatch):
    monkeypatch.setattr(callers, "spiffe_id", lambda _: "spiffe://vn/gateway")
    monkeypatch.setattr(callers, "verify_gateway_chain", lambda *_: VN)
    monkeypatch.setattr(callers, "pem_to_der", lambda leaf: leaf)
    for number in range(REMEMBERED * 2):
        partners.identify(shown(number.to_bytes(4, "big")))
    assert len(partners._claims) == REMEMBERED
    assert len(partners._judged._kept) == REMEMBERED


class Registered(list):
    """By name alone."""

    def check_certificate(self, principal, digest):
        pass


def systems(clock, registered=("system/early-warning",)):
    known = registered if isinstance(registered, Registered) else Registered(registered)
    return SystemAuthenticator(own=VN, roots=lambda: (ROOT,), registered=known, clock=clock)


def test_a_registered_system_of_this_state_is_known(clock):
    _, leaf = issue_system(AUTHORITY, VN, "early-warning", NOW)
    caller = systems(clock).identify(shown(leaf))
    assert (caller.kind, caller.principal, caller.partner) == (CallerKind.SYSTEM, "system/early-warning", None)


def test_a_system_taken_off_the_list_is_refused_though_its_chain_was_judged(clock):
    registered = Registered(["system/early-warning"])
    authenticator = systems(clock, registered)
    _, leaf = issue_system(AUTHORITY, VN, "early-warning", NOW)
    authenticator.identify(shown(leaf))
    registered.clear()
    with pytest.raises(CallerUnknown):
        authenticator.identify(shown(leaf))


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        GATEWAY,
        issue_system(AUTHORITY, TH, "early-warning", NOW)[1],
        issue_system(OTHER, VN, "early-warning", NOW)[1],
        issue_system(AUTHORITY, VN, "unregistered", NOW)[1],
    ],
    ids=["none", "a gateway", "another state", "another authority", "not registered"],
)
def test_what_is_no_registered_system_is_refused(clock, leaf):
    with pytest.raises(CallerUnknown):
        systems(clock).identify(shown(leaf))


def test_the_operator_is_who_comes_through_the_socket():
    assert SocketAuthenticator().identify(Presented("unix:", b"", ())).kind is CallerKind.OPERATOR
    with pytest.raises(CallerUnknown):
        SocketAuthenticator().identify(Presented("ipv4:127.0.0.1:5", b"", ()))


def test_the_list_of_rejected_callers_is_bounded_and_keeps_the_newest(clock):
    rejected = RejectedCallers(clock)
    for number in range(REJECTED_KEPT + 10):
        rejected.add(Presented(f"a{number}", b"", ()), CallerUnknown(), Listener.FEDERATION)
    kept = rejected.latest()
    assert len(kept) == REJECTED_KEPT
    assert (kept[0].address, kept[-1].address) == ("a10", f"a{REJECTED_KEPT + 9}")
    assert kept[-1].time_ms == NOW
    assert kept[-1].reason == "CALLER_UNKNOWN"


def test_a_caller_that_comes_again_is_listed_once_with_how_often(clock):
    rejected = RejectedCallers(clock)
    for port in range(5):
        rejected.add(shown(address=f"ipv4:10.0.0.1:{port}"), CallerUnknown("no"), Listener.FEDERATION)
        clock.ms += 1000
    (kept,) = rejected.latest()
    assert (kept.count, kept.first_ms, kept.time_ms) == (5, NOW, NOW + 4000)
    assert (kept.address, kept.claimed_id, kept.detail) == ("ipv4:10.0.0.1:4", "spiffe://vn/gateway", "no")
    rejected.add(shown(), CallerUnknown("no"), Listener.EXCHANGE)
    assert len(rejected.latest()) == 2


def test_a_rejected_certificate_that_cannot_be_read_has_no_fingerprint(clock):
    rejected = RejectedCallers(clock)
    rejected.add(shown(b"junk"), CallerUnknown(), Listener.FEDERATION)
    assert rejected.latest()[0].fingerprint == ""


def test_a_connection_shows_its_leaf_and_what_came_with_it():
    class Context:
        def auth_context(self):
            return {"x509_pem_cert": [GATEWAY], "x509_pem_cert_chain": [GATEWAY + AUTHORITY[1]]}

        def peer(self):
            return "ipv4:10.0.0.1:1"

    found = presented_by(Context())
    assert found.leaf == GATEWAY
    assert [pem_to_der(item) for item in found.intermediates] == [ROOT]
    bare = type("Bare", (), {"auth_context": lambda _: {}, "peer": lambda _: "unix:"})()
    assert presented_by(bare) == Presented("unix:", b"", ())


def test_what_a_caller_is_cannot_be_changed():
    caller = SocketAuthenticator().identify(Presented("unix:", b"", ()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.kind = CallerKind.PARTNER
