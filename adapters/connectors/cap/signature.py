"""Checks the XML signatures of a CAP alert. The result is an attribute of the alert and stops nothing.

It says whether the alert is as whoever holds the key signed it. It does not say who that is: certificates are taken
from the signature itself, no chain is followed, nothing is fetched. Trust comes from the channel and from the gateway's
own signature.
"""

import base64
import warnings
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidInput
from signxml.verifier import SignatureConfiguration, XMLVerifier

from adapters.connectors.cap.findings import Code, Findings
from adapters.connectors.cap.section import DSIG

MAX_SIGNATURES: Final = 4
"""Real files have two at most. Each costs several canonical forms of the whole document."""
_MAX_CERTIFICATES: Final = 8
_MAX_CERTIFICATE_CHARACTERS: Final = 20_000
_MAX_NODES: Final = 300
"""In one signature, X.509 chain included."""
_PATH: Final = "alert/Signature"
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_MIN_RSA_BITS: Final = 2048
"""NIST SP 800-131A, like the next."""
_MIN_CURVE_BITS: Final = 224

_ENVELOPED: Final = f"{DSIG}enveloped-signature"
# What changes only how the alert is written. XPath, XSLT and the like choose what of it is signed.
_TRANSFORMS: Final = frozenset(
    (
        _ENVELOPED,
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2006/12/xml-c14n11#WithComments",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    )
)
# A shared secret proves nothing to a third party.
_METHODS: Final = frozenset(method for method in SignatureMethod if not method.name.startswith("HMAC"))
_DIGESTS: Final = frozenset(DigestAlgorithm)


class SignatureState(StrEnum):
    """Provenance.signature of alert.proto."""

    VALID = "valid"
    VALID_EXPIRED = "valid_expired"
    """Verifies, but its certificate is outside its period."""
    VALID_OTHER_SIG_REMOVED = "valid_other_sig_removed"
    """Verifies once the other signatures are taken out, which were put in after it."""
    KEY_MISSING = "key_missing"
    """Comes without a certificate. A bare key names nobody, so it is not tried."""
    INVALID = "invalid"
    UNSIGNED = "unsigned"


_BEST_FIRST: Final = (
    SignatureState.VALID,
    SignatureState.VALID_EXPIRED,
    SignatureState.VALID_OTHER_SIG_REMOVED,
    SignatureState.KEY_MISSING,
    SignatureState.INVALID,
)


class _Unacceptable(Exception):
    """The signature is of a shape that is not tried; the text says why."""


class _Verifier(XMLVerifier):
    """Looks at the signature of a given place among the children of the root, and nowhere else."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def _get_signature(self, root: etree._Element) -> etree._Element:
        signatures = root.findall(f"{{{DSIG}}}Signature")
        if self._place >= len(signatures):
            raise InvalidInput("the signature is not a child of the root")
        return signatures[self._place]


def check_signatures(root: etree._Element, now_ms: int, findings: Findings) -> SignatureState:
    """Return what the signatures below the root of an alert are worth, the best one counting."""
    signatures = root.findall(f"{{{DSIG}}}Signature")
    if not signatures:
        return SignatureState.UNSIGNED
    if len(signatures) > 1:
        findings.add(Code.SIGNATURE_SEVERAL, _PATH, f"{len(signatures)} signatures")
    if len(signatures) > MAX_SIGNATURES:
        findings.add(Code.SIGNATURE_INVALID, _PATH, f"more than {MAX_SIGNATURES} signatures")
        return SignatureState.INVALID
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    states = {_state(root, place, now, findings) for place in range(len(signatures))}
    return next(state for state in _BEST_FIRST if state in states)


def _state(root: etree._Element, place: int, now: datetime, findings: Findings) -> SignatureState:
    signatures = root.findall(f"{{{DSIG}}}Signature")
    path = f"{_PATH}[{place + 1}]"
    try:
        _check_shape(signatures[place])
        _note_weak(signatures[place], path, findings)
        certificates = _certificates(signatures[place])
    except _Unacceptable as error:
        findings.add(Code.SIGNATURE_INVALID, path, str(error))
        return SignatureState.INVALID
    if not certificates:
        findings.add(Code.SIGNATURE_KEY_MISSING, path, "no certificate comes with it")
        return SignatureState.KEY_MISSING
    found = _verify(root, place, certificates)
    removed = False
    if isinstance(found, str) and len(signatures) > 1:
        alone = _verify(_without_others(root, place), 0, certificates)
        if not isinstance(alone, str):
            found, removed = alone, True
    if isinstance(found, str):
        findings.add(Code.SIGNATURE_INVALID, path, found)
        return SignatureState.INVALID
    _note_weak_certificate(found, path, findings)
    expired = not found.not_valid_before_utc <= now <= found.not_valid_after_utc
    if expired:
        end = found.not_valid_after_utc.date().isoformat()
        findings.add(Code.SIGNATURE_EXPIRED, path, f"its certificate ran until {end}")
    if removed:
        return SignatureState.VALID_OTHER_SIG_REMOVED
    return SignatureState.VALID_EXPIRED if expired else SignatureState.VALID


def _check_shape(signature: etree._Element) -> None:
    """Only the whole alert, as it stands, may be what is signed: else a signed part lends its name to a forged whole.

    Raises:
        _Unacceptable: Something else is signed, or more than that, or it is too large.
    """
    if sum(1 for _ in signature.iter()) > _MAX_NODES:
        raise _Unacceptable("it is too large")
    for name, least in (("SignedInfo", 1), ("SignatureValue", 1), ("KeyInfo", 0)):
        if not least <= len(signature.findall(f"{{{DSIG}}}{name}")) <= 1:
            raise _Unacceptable(f"it lacks {name} or has several")
    references = signature.findall(f"{{{DSIG}}}SignedInfo/{{{DSIG}}}Reference")
    if len(references) != 1 or references[0].get("URI") != "":
        raise _Unacceptable("it signs something other than the whole alert")
    if signature.find(f"{{{DSIG}}}Object") is not None or signature.find(f".//{{{DSIG}}}Manifest") is not None:
        raise _Unacceptable("it carries content of its own")
    transforms = [item.get("Algorithm") for item in references[0].iter(f"{{{DSIG}}}Transform")]
    if _ENVELOPED not in transforms or not _TRANSFORMS.issuperset(transforms):
        raise _Unacceptable("it signs a selection from the alert")


def _certificates(signature: etree._Element) -> list[x509.Certificate]:
    found = signature.findall(f"{{{DSIG}}}KeyInfo/{{{DSIG}}}X509Data/{{{DSIG}}}X509Certificate")
    if len(found) > _MAX_CERTIFICATES:
        raise _Unacceptable(f"it has more than {_MAX_CERTIFICATES} certificates")
    certificates = []
    for element in found:
        text = element.text or ""
        if len(text) > _MAX_CERTIFICATE_CHARACTERS:
            raise _Unacceptable("a certificate is too large")
        try:
            with warnings.catch_warnings():
                # Old certificates break today's rules in ways the library warns of.
                warnings.simplefilter("ignore")
                certificates.append(x509.load_der_x509_certificate(base64.b64decode(text)))
        except ValueError:
            raise _Unacceptable("a certificate cannot be read") from None
    return certificates


def _verify(root: etree._Element, place: int, certificates: list[x509.Certificate]) -> x509.Certificate | str:
    """Return the certificate whose key verifies a signature, or why none does."""
    problem = ""
    for certificate in certificates:
        try:
            configuration = SignatureConfiguration(
                location="./",
                signature_methods=_METHODS,
                digest_algorithms=_DIGESTS,
                # The period is looked at by the caller; here only the key counts.
                verification_time=certificate.not_valid_before_utc,
            )
            # Not by the schema: Canada's files have an Id with a space, which it forbids. _check_shape does it.
            verifier = _Verifier(place)
            verifier.verify(root, x509_cert=certificate, expect_config=configuration, validate_schema=False)
        except Exception as error:  # noqa: BLE001
            # Hostile input in two foreign libraries: whatever they raise, the signature did not verify.
            problem = problem or f"{type(error).__name__}: {error}".rstrip(" :")
        else:
            return certificate
    return problem


def _without_others(root: etree._Element, place: int) -> etree._Element:
    copy = etree.fromstring(etree.tostring(root, encoding="UTF-8"), etree.XMLParser(resolve_entities=False))
    for number, signature in enumerate(copy.findall(f"{{{DSIG}}}Signature")):
        if number != place:
            _take_out(copy, signature)
    return copy


def _take_out(root: etree._Element, signature: etree._Element) -> None:
    # lxml removes what follows an element with it; the white space there is signed too.
    before = signature.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (signature.tail or "")
    else:
        root.text = (root.text or "") + (signature.tail or "")
    root.remove(signature)


def _note_weak(signature: etree._Element, path: str, findings: Findings) -> None:
    for name in ("SignatureMethod", "DigestMethod"):
        for element in signature.iter(f"{{{DSIG}}}{name}"):
            algorithm = (element.get("Algorithm") or "").rpartition("#")[2]
            if algorithm.rpartition("-")[2] in _WEAK_HASHES:
                findings.add(Code.SIGNATURE_WEAK, path, f"{name} {algorithm}")


def _note_weak_certificate(certificate: x509.Certificate, path: str, findings: Findings) -> None:
    try:
        hashed = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        findings.add(Code.SIGNATURE_WEAK, path, "certificate signed with an unknown algorithm")
        hashed = None
    if hashed is not None and hashed.name in _WEAK_HASHES:
        findings.add(Code.SIGNATURE_WEAK, path, f"certificate signed with {hashed.name}")
    key = certificate.public_key()
    least = _MIN_CURVE_BITS if isinstance(key, ec.EllipticCurvePublicKey) else _MIN_RSA_BITS
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey) and key.key_size < least:
        findings.add(Code.SIGNATURE_WEAK, path, f"key of {key.key_size} bits")
