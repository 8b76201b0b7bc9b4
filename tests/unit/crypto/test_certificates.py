"""A chain counts for one partner and one role only."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.clock import to_datetime
from gateway.crypto import certificates
from gateway.crypto.certificates import (
    create_authority,
    der_to_pem,
    issue_gateway,
    issue_system,
    pem_to_der,
    root_name,
    spiffe_id,
    verify_gateway_chain,
    verify_system_chain,
)
from gateway.errors import CallerUnknown, ConfigInvalid, FieldInvalid
from gateway.model.partner import gateway_name
from tests.unit.crypto.parties import HOUR, LA, NOW, TH

DAY = 24 * HOUR
AUTHORITY, OTHER = create_authority(TH, NOW), create_authority(TH, NOW)
ROOTS = [pem_to_der(AUTHORITY[1])]
_, GATEWAY = issue_gateway(AUTHORITY, TH, NOW, ("localhost", "127.0.0.1", "::1", "th.example"))
_, SYSTEM = issue_system(AUTHORITY, TH, "early-warning", NOW)


def refused(leaf=GATEWAY, intermediates=(), roots=ROOTS, now_ms=NOW):
    with pytest.raises(CallerUnknown):
        verify_gateway_chain(leaf, list(intermediates), list(roots), now_ms)


def test_a_gateway_is_known_by_its_chain():
    assert verify_gateway_chain(GATEWAY, [], ROOTS, NOW) == TH
    assert verify_gateway_chain(pem_to_der(GATEWAY), [], [pem_to_der(OTHER[1]), *ROOTS], NOW) == TH
    assert spiffe_id(GATEWAY) == "spiffe://th/gateway"


def test_a_system_is_known_by_its_chain_and_is_not_a_gateway():
    assert verify_system_chain(SYSTEM, [], ROOTS, NOW) == (TH, "early-warning")
    assert spiffe_id(SYSTEM) == "spiffe://th/system/early-warning"
    refused(SYSTEM)
    with pytest.raises(CallerUnknown):
        verify_system_chain(GATEWAY, [], ROOTS, NOW)


def test_another_authority_of_the_same_name_is_refused():
    refused(issue_gateway(OTHER, TH, NOW)[1])
    refused(roots=[])


def test_a_certificate_counts_only_in_its_time():
    refused(now_ms=NOW - 6 * 60_000)
    refused(now_ms=NOW + 398 * DAY)
    assert verify_gateway_chain(GATEWAY, [], ROOTS, NOW + 396 * DAY) == TH


def test_a_leaf_does_not_issue_certificates():
    key, certificate = issue_gateway(AUTHORITY, TH, NOW)
    refused(issue_gateway((key, certificate), LA, NOW)[1], [certificate])
    refused(AUTHORITY[1])


@pytest.mark.parametrize("data", [b"", b"\x30", b"x" * 20_000, b"-----BEGIN nothing", GATEWAY[:200], b"\xff" * 64])
def test_what_is_no_certificate_is_refused(data):
    refused(data)
    refused(intermediates=[data])
    refused(roots=[data])
    with pytest.raises(CallerUnknown):
        spiffe_id(data)
    with pytest.raises(FieldInvalid):
        der_to_pem(data)
    with pytest.raises(FieldInvalid):
        pem_to_der(data)


def test_a_certificate_of_no_known_version_is_refused():
    # The library has an error of its own for it, which is no ValueError.
    der = bytearray(ROOTS[0])
    at = der.index(b"\xa0\x03\x02\x01\x02")
    der[at + 4] = 0x12
    refused(bytes(der))
    refused(roots=[bytes(der)])
    for read in (root_name, der_to_pem):
        with pytest.raises(FieldInvalid):
            read(bytes(der))


def test_too_many_intermediates_are_refused():
    refused(intermediates=[GATEWAY] * 5)


def leaf(*names: x509.GeneralName, usage=True) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    authority_key = serialization.load_pem_private_key(AUTHORITY[0], None)
    issuer = x509.load_pem_x509_certificate(AUTHORITY[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(to_datetime(NOW))
        .not_valid_after(to_datetime(NOW) + timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


URI = x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    "names",
    [
        [],
        [x509.DNSName("th")],
        [URI("spiffe://th/gateway"), URI("spiffe://la/gateway")],
        [URI("spiffe://th/gateway"), URI("https://th.example/")],
        [URI("spiffe://TH/gateway")],
        [URI("spiffe://th/gateway/")],
        [URI("spiffe://th/gateway?x")],
        [URI("spiffe://th.example/gateway")],
        [URI("spiffe://tha/gateway")],
        [URI("spiffe://th/system/")],
        [URI("spiffe://th/system/a/b")],
        [URI("spiffe://th/gateway\n")],
        [URI("https://th/gateway")],
    ],
)
def test_a_certificate_names_exactly_one_caller(names):
    assert verify_gateway_chain(leaf(URI("spiffe://th/gateway")), [], ROOTS, NOW) == TH
    refused(leaf(*names))
    with pytest.raises(CallerUnknown):
        spiffe_id(leaf(*names))


@pytest.mark.parametrize("name", ["", "Early", "a_b", "-a", "a-", "a" * 64, "a/b", "ก"])
def test_a_systems_name_is_plain(name):
    with pytest.raises(FieldInvalid):
        issue_system(AUTHORITY, TH, name, NOW)


def test_a_gateways_names_are_addresses_or_dns_names():
    names = (
        x509.load_pem_x509_certificate(GATEWAY).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "th.example", gateway_name(TH)]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    with pytest.raises(FieldInvalid):
        issue_gateway(AUTHORITY, TH, NOW, ("ประเทศไทย",))


def test_an_authority_with_another_kind_of_key_is_refused():
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigInvalid):
        issue_gateway((key, AUTHORITY[1]), TH, NOW)


def test_the_der_form_is_the_same_certificate():
    assert pem_to_der(der_to_pem(ROOTS[0])) == ROOTS[0]


def test_a_leaf_lives_no_longer_than_the_web_allows():
    assert certificates.LEAF_DAYS <= 398
