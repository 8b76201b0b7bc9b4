"""TLS certificates: a partner's own small authority, and the check that a chain leads to one partner's roots.

Trust is per partner and never merged: TLS accepts a certificate that leads to any known root, so the guard verifies the
chain again against the roots of the one partner that it claims to be. Reference: DESIGN section 6.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.clock import to_datetime
from gateway.errors import CallerUnknown, ConfigInvalid, FieldInvalid
from gateway.ids import PartnerId
from gateway.model.partner import gateway_name

AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 397
"""What web PKI allows for a leaf; the operator renews with `rotate`."""
_BACKDATED: Final = timedelta(minutes=5)
"""DESIGN 5: clocks may differ by 5 minutes."""
_MAX_CERTIFICATE_BYTES: Final = 16_384
_MAX_INTERMEDIATES: Final = 4
ROLES: Final = ("system", "auditor", "officer")
"""What a certificate of our own authority may be for, beside the gateway itself."""
_SPIFFE: Final = re.compile(
    r"spiffe://([a-z]{2})/(?:gateway|(system|auditor|officer)/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?))\Z", re.ASCII
)
_SYSTEM_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_REQUEST_CURVES: Final = frozenset({"secp256r1", "secp384r1"})
_PEM_HEAD: Final = b"-----BEGIN"
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What the library raises at bytes that are no certificate, or not one that it takes."""

Authority = tuple[bytes, bytes]
"""Key and certificate of an authority, PEM."""
RootName = tuple[tuple[tuple[str, str], ...], ...]
"""Subject of a root: kinds and values of its parts, in lower case and without needless white space."""


def create_authority(partner: PartnerId, now_ms: int) -> Authority:
    """Return the key and certificate (PEM) of a new authority for one partner."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Concord {partner} authority")
    builder = (
        _builder(name, name, key.public_key(), now_ms, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _key_pem(key), _pem(builder.sign(key, hashes.SHA256()))


def issue_gateway(
    authority: Authority, partner: PartnerId, now_ms: int, names: Sequence[str] = ("localhost", "127.0.0.1")
) -> tuple[bytes, bytes]:
    """Return key and certificate (PEM) of a gateway, reachable by these DNS names and addresses."""
    # Partners insist on the gateway's own name, wherever they reach it.
    return _issue(
        authority, f"spiffe://{partner}/gateway", now_ms, tuple(dict.fromkeys((*names, gateway_name(partner))))
    )


def issue_system(authority: Authority, partner: PartnerId, system_name: str, now_ms: int) -> tuple[bytes, bytes]:
    """Return key and certificate (PEM) of a national system.

    Raises:
        FieldInvalid: The name is not lower-case letters, digits and inner hyphens, at most 63.
    """
    if not _SYSTEM_NAME.match(system_name):
        raise FieldInvalid("system", "must be lower-case letters, digits and inner hyphens, as in 'early-warning'")
    return _issue(authority, f"spiffe://{partner}/system/{system_name}", now_ms, ("localhost", "127.0.0.1"))


def new_request() -> tuple[bytes, bytes]:
    """Return a new key (PEM) and a request for its certificate (PEM), which proves that the key is at hand.

    The request names nobody: what the certificate says, its authority decides.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM)


def issue_requested(
    authority: Authority, partner: PartnerId, *, role: str, name: str, request: bytes, now_ms: int
) -> bytes:
    """Return the certificate (PEM) of a system or auditor for the key of a request; nothing else of it is used.

    Raises:
        FieldInvalid: Role or name are not allowed, or the request does not hold or has no key that TLS takes.
    """
    if role not in ROLES:
        raise FieldInvalid("role", f"must be one of {', '.join(ROLES)}")
    if not _SYSTEM_NAME.match(name):
        raise FieldInvalid("name", "must be lower-case letters, digits and inner hyphens, as in 'early-warning'")
    if len(request) > _MAX_CERTIFICATE_BYTES:
        raise FieldInvalid("request", "is too large")
    try:
        found = x509.load_pem_x509_csr(request)
        key = found.public_key()
        holds = found.is_signature_valid
    except _UNREADABLE:
        raise FieldInvalid("request", "is not a certificate request") from None
    if not holds or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _REQUEST_CURVES:
        raise FieldInvalid("request", "must be signed by its own key on curve P-256 or P-384")
    identity = f"spiffe://{partner}/{role}/{name}"
    return _certify(authority, identity, now_ms, ("localhost", "127.0.0.1"), key)


def validity_ms(certificate: bytes) -> tuple[int, int]:
    """Return from when to when a certificate (PEM or DER) is valid.

    Raises:
        CallerUnknown: It cannot be read.
    """
    found = _load(certificate)
    start, end = found.not_valid_before_utc, found.not_valid_after_utc
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000)


def _issue(authority: Authority, identity: str, now_ms: int, names: Sequence[str]) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _key_pem(key), _certify(authority, identity, now_ms, names, key.public_key())


def _certify(
    authority: Authority, identity: str, now_ms: int, names: Sequence[str], public: ec.EllipticCurvePublicKey
) -> bytes:
    authority_key = serialization.load_pem_private_key(authority[0], None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ConfigInvalid("the authority's key is not an elliptic-curve key")
    issuer = x509.load_pem_x509_certificate(authority[1])
    alternative: list[x509.GeneralName] = [_alternative_name(name) for name in names]
    alternative.append(x509.UniformResourceIdentifier(identity))
    builder = (
        _builder(_name(identity.removeprefix("spiffe://")), issuer.subject, public, now_ms, LEAF_DAYS)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        # A gateway is both ends of its links.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    )
    return _pem(builder.sign(authority_key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now_ms: int, days: int
) -> x509.CertificateBuilder:
    now = to_datetime(now_ms)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise FieldInvalid("names", f"'{name}' is neither an address nor a DNS name") from None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def pem_to_der(pem: bytes) -> bytes:
    """Return the first certificate of a PEM file as DER.

    Raises:
        FieldInvalid: There is none.
    """
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    except _UNREADABLE:
        raise FieldInvalid("certificate", "is not a PEM certificate") from None


def der_to_pem(der: bytes) -> bytes:
    """Return a DER certificate as PEM.

    Raises:
        FieldInvalid: It is not one.
    """
    try:
        return _pem(x509.load_der_x509_certificate(der))
    except _UNREADABLE:
        raise FieldInvalid("certificate", "is not a DER certificate") from None


def root_name(der: bytes) -> RootName:
    """Return the subject of a root that chains may lead to, in the form in which TLS compares names.

    Raises:
        FieldInvalid: It is no certificate of an authority, or has a key that TLS does not take.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        name = tuple(
            tuple(sorted((part.oid.dotted_string, " ".join(str(part.value).lower().split())) for part in rdn))
            for rdn in certificate.subject.rdns
        )
        usable = constraints.ca and isinstance(certificate.public_key(), ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    except (*_UNREADABLE, x509.ExtensionNotFound, x509.DuplicateExtension):
        usable, name = False, ()
    if not usable:
        raise FieldInvalid("certificate", "is not that of an authority with an elliptic-curve or RSA key")
    return name


def _load(data: bytes) -> x509.Certificate:
    if len(data) > _MAX_CERTIFICATE_BYTES:
        raise CallerUnknown("the certificate is too large")
    try:
        if data.lstrip().startswith(_PEM_HEAD):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except _UNREADABLE:
        raise CallerUnknown("the certificate cannot be read") from None


def spiffe_id(leaf: bytes) -> str:
    """Return the SPIFFE id that a certificate (PEM or DER) claims. Verifies nothing.

    Raises:
        CallerUnknown: It has not exactly one, or not one of ours.
    """
    return _spiffe_id(_load(leaf))


def _spiffe_id(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        raise CallerUnknown("the certificate names nobody") from None
    # SPIFFE X509-SVID section 2: exactly one URI, so that a certificate cannot be two callers.
    if len(uris) != 1 or not _SPIFFE.match(uris[0]):
        raise CallerUnknown("the certificate does not carry one SPIFFE id of this federation")
    return uris[0]


def verify_gateway_chain(leaf: bytes, intermediates: Sequence[bytes], roots: Sequence[bytes], now_ms: int) -> PartnerId:
    """Return the partner whose gateway presents this chain (PEM or DER), verified against these roots (DER).

    Raises:
        CallerUnknown: It does not lead to one of the roots, is not valid now, or is not a gateway's.
    """
    identity = _verify(leaf, intermediates, roots, now_ms)
    if identity[1]:
        raise CallerUnknown("the certificate is not a gateway's")
    return PartnerId(identity[0])


def verify_system_chain(
    leaf: bytes, intermediates: Sequence[bytes], roots: Sequence[bytes], now_ms: int
) -> tuple[PartnerId, str]:
    """Return the partner and the name of the national system that presents this chain.

    Raises:
        CallerUnknown: It does not lead to one of the roots, is not valid now, or is not a system's.
    """
    partner, role, name = _verify(leaf, intermediates, roots, now_ms)
    if role != "system":
        raise CallerUnknown("the certificate is not a national system's")
    return PartnerId(partner), name


def verify_own_chain(
    leaf: bytes, intermediates: Sequence[bytes], roots: Sequence[bytes], now_ms: int
) -> tuple[PartnerId, str, str]:
    """Return the state, the role (system or auditor) and the name for which an authority made this chain.

    Raises:
        CallerUnknown: It does not lead to one of the roots, is not valid now, or is of neither role.
    """
    partner, role, name = _verify(leaf, intermediates, roots, now_ms)
    if not role:
        raise CallerUnknown("the certificate is neither a national system's nor an auditor's")
    return PartnerId(partner), role, name


def _verify(leaf: bytes, intermediates: Sequence[bytes], roots: Sequence[bytes], now_ms: int) -> tuple[str, str, str]:
    certificate = _load(leaf)
    identity = _SPIFFE.match(_spiffe_id(certificate))
    if not roots or len(intermediates) > _MAX_INTERMEDIATES or identity is None:
        raise CallerUnknown("the certificate cannot be verified")
    anchors = [_load(root) for root in roots]
    between = [_load(data) for data in intermediates]
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(anchors))
            .time(to_datetime(now_ms))
            .max_chain_depth(_MAX_INTERMEDIATES)
            .build_client_verifier()
        )
        verifier.verify(certificate, between)
    except (verification.VerificationError, ValueError):
        raise CallerUnknown("the certificate does not lead to a root of this partner") from None
    return identity[1], identity[2] or "", identity[3] or ""
