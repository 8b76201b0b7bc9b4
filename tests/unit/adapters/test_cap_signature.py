"""What the signatures of a CAP alert are worth, and that no trick makes a forged alert a valid one."""

import base64

import pytest
from lxml import etree

from adapters.connectors.cap import CapCheck, check_cap, read_cap
from adapters.connectors.cap.section import DSIG
from adapters.connectors.cap.signature import MAX_SIGNATURES, SignatureState
from tests.fixtures.xml_signing import AFTER_MS, BEFORE_MS, DURING_MS, sign

NS = "urn:oasis:names:tc:emergency:cap:1.2"
ALERT = (
    f'<alert xmlns="{NS}">\n<identifier>a-1</identifier><sender>warn@a.example</sender>'
    "<sent>2026-11-23T10:00:00+07:00</sent><status>Exercise</status><msgType>Alert</msgType><scope>Public</scope>\n"
    "<note>stay inside</note>\n</alert>"
).encode()
SIGNATURE = f"{{{DSIG}}}Signature"


def judged(data: bytes, now_ms: int = DURING_MS) -> CapCheck:
    check = check_cap(data, now_ms)
    assert check.verdict.startswith("accepted"), "a signature stops nothing"
    return check


def codes(check: CapCheck) -> set[str]:
    return {finding.code for finding in check.findings if finding.code.startswith("cap.signature")}


def test_signature_is_told_and_carried() -> None:
    assert judged(ALERT).signature == "unsigned"
    check = judged(sign(ALERT))
    assert (check.signature, codes(check)) == ("valid", set())
    provenance = read_cap(sign(ALERT), DURING_MS).alert.provenance
    assert provenance is not None
    assert provenance.signature == "valid"


@pytest.mark.parametrize("now_ms", [BEFORE_MS, AFTER_MS])
def test_certificate_outside_its_period_is_told(now_ms: int) -> None:
    check = judged(sign(ALERT), now_ms)
    assert (check.signature, codes(check)) == ("valid_expired", {"cap.signature_expired"})


def test_without_a_clock_the_time_of_the_alert_counts() -> None:
    assert check_cap(sign(ALERT)).signature == "valid"
    assert check_cap(sign(ALERT.replace(b"2026-11", b"2029-11"))).signature == "valid_expired"


def test_signature_under_a_later_one_verifies_without_it() -> None:
    inner, outer = sign(ALERT), sign(sign(ALERT, "first"), "second")
    check = judged(outer)
    # The later one covers the first and verifies as it stands.
    assert (check.signature, codes(check)) == ("valid", {"cap.signature_several"})
    root = etree.fromstring(outer)
    value = root.findall(SIGNATURE)[1].find(f"{{{DSIG}}}SignatureValue")
    assert value is not None
    value.text = "AAAA"
    check = judged(etree.tostring(root))
    assert check.signature == "valid_other_sig_removed"
    assert codes(check) == {"cap.signature_several", "cap.signature_invalid"}
    assert judged(inner).signature == "valid"


def test_weak_algorithms_are_named() -> None:
    check = judged(sign(ALERT, sha1=True))
    assert check.signature == "valid"
    assert [finding.detail for finding in check.findings if finding.code == "cap.signature_weak"] == [
        "SignatureMethod ecdsa-sha1",
        "DigestMethod sha1",
    ]
    md5 = sign(ALERT).replace(
        b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", b"http://www.w3.org/2001/04/xmldsig-more#rsa-md5"
    )
    check = judged(md5)
    assert check.signature == "invalid"
    assert "SignatureMethod rsa-md5" in {finding.detail for finding in check.findings}


def test_certificate_of_an_unknown_kind_is_named() -> None:
    root = etree.fromstring(sign(ALERT))
    element = next(root.iter(f"{{{DSIG}}}X509Certificate"))
    # ecdsa-with-SHA256, inside and outside of what is signed, made an object identifier that nobody has.
    der = base64.b64decode(element.text or "").replace(
        bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d044302")
    )
    element.text = base64.b64encode(der).decode()
    check = judged(etree.tostring(root))
    assert check.signature == "valid"
    assert codes(check) == {"cap.signature_weak"}


def test_bare_key_is_no_key() -> None:
    root = etree.fromstring(sign(ALERT))
    for element in root.iter(f"{{{DSIG}}}X509Data"):
        element.tag = f"{{{DSIG}}}KeyValue"
    assert judged(etree.tostring(root)).signature == "key_missing"
    for element in list(root.iter(f"{{{DSIG}}}KeyInfo")):
        element.getparent().remove(element)  # type: ignore[union-attr]
    check = judged(etree.tostring(root))
    assert (check.signature, codes(check)) == ("key_missing", {"cap.signature_key_missing"})


def wrapped_by_id() -> bytes:
    """A genuine signed part inside a forged whole."""
    genuine = etree.fromstring(ALERT.replace(b"<alert ", b'<alert Id="x" '))
    signed = etree.fromstring(sign(etree.tostring(genuine), reference="#x"))
    signature = signed.find(SIGNATURE)
    assert signature is not None
    forged = etree.fromstring(ALERT.replace(b"stay inside", b"go to the river"))
    signed.remove(signature)
    forged.append(signature)
    holder = etree.SubElement(signature, f"{{{DSIG}}}Object")
    holder.append(signed)
    return etree.tostring(forged)


def nested() -> bytes:
    """A signature that is not a child of the root."""
    root = etree.fromstring(sign(ALERT))
    signature = root.find(SIGNATURE)
    assert signature is not None
    etree.SubElement(root, f"{{{NS}}}info").append(signature)
    return etree.tostring(root)


def changed(old: bytes, new: bytes) -> bytes:
    data = sign(ALERT)
    assert old in data
    return data.replace(old, new)


XPATH = b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1</ds:XPath></ds:Transform>'
XSLT = b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'
ATTACKS = {
    "changed text": changed(b"stay inside", b"go outside"),
    "element put in": changed(b"</note>", b"</note><incidents>x</incidents>"),
    "genuine part wrapped": wrapped_by_id(),
    "signed by id": sign(ALERT.replace(b"<alert ", b'<alert Id="x" '), reference="#x"),
    "fetched": changed(b'URI=""', b'URI="https://a.example/x.xml"'),
    "file": changed(b'URI=""', b'URI="file:///etc/hostname"'),
    "xpointer": changed(b'URI=""', b'URI="#xpointer(/)"'),
    "no URI": changed(b' URI=""', b""),
    "xpath": changed(b"<ds:Transforms>", b"<ds:Transforms>" + XPATH),
    "xslt": changed(b"<ds:Transforms>", b"<ds:Transforms>" + XSLT),
    "two references": changed(b"</ds:SignedInfo>", b'<ds:Reference URI=""/></ds:SignedInfo>'),
    "two SignedInfo": changed(b"<ds:SignatureValue>", b"<ds:SignedInfo/><ds:SignatureValue>"),
    "two values": changed(b"<ds:KeyInfo>", b"<ds:SignatureValue/><ds:KeyInfo>"),
    "no value": changed(b"<ds:SignatureValue>", b"<ds:Value>").replace(b"</ds:SignatureValue>", b"</ds:Value>"),
    "object": changed(b"</ds:Signature>", b"<ds:Object><alert/></ds:Object></ds:Signature>"),
    "hmac": changed(b"xmldsig-more#ecdsa-sha256", b"xmldsig-more#hmac-sha256"),
    "no such algorithm": changed(b"xmldsig-more#ecdsa-sha256", b"xmldsig-more#none"),
    "no such canon": changed(b"xml-c14n11", b"xml-c14n99"),
    "certificate broken": changed(b"<ds:X509Certificate>", b"<ds:X509Certificate>AAAA"),
    "certificate huge": changed(b"<ds:X509Certificate>", b"<ds:X509Certificate>" + b"A" * 30_000),
    "many certificates": changed(b"<ds:X509Data>", b"<ds:X509Data>" + b"<ds:X509Certificate/>" * 9),
    "large": changed(b"<ds:KeyInfo>", b"<ds:KeyInfo>" + b"<ds:KeyName/>" * 400),
    "empty": ALERT.replace(b"</alert>", f'<Signature xmlns="{DSIG}"/></alert>'.encode()),
    "many": ALERT.replace(b"</alert>", f'<Signature xmlns="{DSIG}"/>'.encode() * (MAX_SIGNATURES + 1) + b"</alert>"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_invalid(attack: str) -> None:
    check = judged(ATTACKS[attack])
    assert check.signature == "invalid"
    assert "cap.signature_invalid" in codes(check)


def test_signature_elsewhere_signs_nothing() -> None:
    check = judged(nested())
    assert check.signature == "unsigned"
    assert "cap.element_foreign" in {finding.code for finding in check.findings}


def test_another_signers_certificate_does_not_verify() -> None:
    mine, other = etree.fromstring(sign(ALERT)), etree.fromstring(sign(ALERT, "other"))
    place = f"{SIGNATURE}/{{{DSIG}}}KeyInfo"
    mine_key, other_key = mine.find(place), other.find(place)
    assert mine_key is not None
    assert other_key is not None
    mine_key.getparent().replace(mine_key, other_key)  # type: ignore[union-attr]
    assert judged(etree.tostring(mine)).signature == "invalid"


def test_every_state_is_known_to_the_page() -> None:
    assert {state.value for state in SignatureState} == {
        "valid", "valid_expired", "valid_other_sig_removed", "key_missing", "invalid", "unsigned",
    }  # fmt: skip
