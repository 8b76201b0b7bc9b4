"""XML attacks on the CAP reader and on what opens containers: one table, every one refused or harmless."""

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.connectors.cap import CapCheck, check_all, check_cap, document, read_cap

NS = "urn:oasis:names:tc:emergency:cap:1.2"
HEAD = (
    "<identifier>a-1</identifier><sender>warn@a.example</sender><sent>2026-11-23T10:00:00+07:00</sent>"
    "<status>Exercise</status><msgType>Alert</msgType><scope>Public</scope>"
)
BOMB = "".join(f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">' for n in range(1, 12))
ROOTS = {
    "alert": (f'<alert xmlns="{NS}">{HEAD}<note>', "</note></alert>"),
    "feed": (f'<feed><entry><alert xmlns="{NS}">{HEAD}<note>', "</note></alert></entry></feed>"),
    "edxl": (
        f'<EDXLDistribution><contentObject><xmlContent><alert xmlns="{NS}">{HEAD}<note>',
        "</note></alert></xmlContent></contentObject></EDXLDistribution>",
    ),
}


def before(prolog: str, note: str = "x", encoding: str = "utf-8") -> Callable[[str], bytes]:
    return lambda root: (prolog + ROOTS[root][0] + note + ROOTS[root][1]).encode(encoding)


def inside(note: str) -> Callable[[str], bytes]:
    return before("", note)


REFUSED: dict[str, tuple[set[str], Callable[[str], bytes]]] = {
    "external entity": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;")),
    "external entity, net": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]>', "&x;")),
    "public entity": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY x PUBLIC "p" "file:///etc/hostname">]>', "&x;")),
    "parameter entity": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]>')),
    "entity bomb": ({"cap.doctype"}, before(f'<!DOCTYPE a [<!ENTITY l0 "lol">{BOMB}]>', "&l11;")),
    "quadratic bomb": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY x "' + "x" * 50_000 + '">]>', "&x;" * 50_000)),
    "external DTD": ({"cap.doctype"}, before('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">')),
    "empty DTD": ({"cap.doctype"}, before("<!DOCTYPE a>")),
    "DTD in other letters": ({"cap.doctype"}, before("<!doctype a>")),
    "DTD after comments": ({"cap.doctype"}, before("<!-- a --><?b c?>\n<!DOCTYPE a>")),
    "DTD in UTF-16": ({"cap.doctype"}, before('<!DOCTYPE a [<!ENTITY x "y">]>', "&x;", "utf-16")),
    "DTD in UTF-16 without BOM": ({"cap.doctype"}, before("<!DOCTYPE a>", "x", "utf-16-be")),
    "DTD inside": ({"cap.xml_broken"}, inside("<!DOCTYPE a>")),
    "entity not declared": ({"cap.xml_broken"}, inside("&x;")),
    "deep": ({"cap.xml_broken", "cap.too_deep"}, inside("<a>" * 100_000 + "</a>" * 100_000)),
    "deep and open": ({"cap.xml_broken"}, inside("<a>" * 100_000)),
    "just too deep": ({"cap.too_deep"}, inside("<a>" * 65 + "</a>" * 65)),
    "many elements": ({"cap.too_many_nodes"}, inside("<a/>" * 200_001)),
    "100 MB": ({"cap.too_large"}, lambda root: ROOTS[root][0].encode() + b"x" * 100_000_000),
    "attribute twice": ({"cap.xml_broken"}, inside('<a b="1" b="2"/>')),
    "prefix not declared": ({"cap.xml_broken"}, inside("<a:b/>")),
    "NUL": ({"cap.xml_broken"}, inside("a\x00b")),
    "NUL by number": ({"cap.xml_broken"}, inside("&#0;")),
    "surrogate by number": ({"cap.xml_broken"}, inside("&#xD800;")),
    "two roots": ({"cap.xml_broken"}, lambda root: before("")(root) * 2),
    "two declarations": ({"cap.xml_broken"}, before('<?xml version="1.0"?><?xml version="1.0"?>')),
    "UTF-7": ({"cap.encoding_unsupported"}, before('<?xml version="1.0" encoding="UTF-7"?>')),
    "EBCDIC": ({"cap.encoding_unsupported"}, before('<?xml version="1.0" encoding="cp037"?>')),
    "EBCDIC bytes": ({"cap.encoding_broken", "cap.not_xml"}, before("", "x", "cp037")),
    "made-up encoding": ({"cap.encoding_unsupported"}, before('<?xml version="1.0" encoding="x-unknown"?>')),
    "python codec": ({"cap.encoding_unsupported"}, before('<?xml version="1.0" encoding="unicode_escape"?>')),
    "UTF-32 little": (
        {"cap.encoding_unsupported"},
        lambda root: codecs.BOM_UTF32_LE + before("", "x", "utf-32-le")(root),
    ),
    "UTF-32 big": ({"cap.encoding_unsupported"}, lambda root: codecs.BOM_UTF32_BE + before("", "x", "utf-32-be")(root)),
    "UTF-32 little without BOM": ({"cap.xml_broken", "cap.not_xml"}, before("", "x", "utf-32-le")),
    "UTF-32 big without BOM": ({"cap.xml_broken", "cap.not_xml"}, before("", "x", "utf-32-be")),
    "overlong UTF-8": ({"cap.encoding_broken"}, lambda root: before("")(root) + b"\xc0\xbc"),
    "half of UTF-16": ({"cap.encoding_broken"}, lambda root: before("", "x", "utf-16")(root)[:-1]),
}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("attack", REFUSED)
def test_attack_is_refused_by_name(attack: str, root: str) -> None:
    reasons, make = REFUSED[attack]
    (check,) = tuple(check for _, check in check_all(make(root)))
    assert check.verdict == "refused"
    assert check.reason in reasons


def test_size_is_looked_at_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(document, "_decode", lambda *arguments: looked.append(arguments))
    assert check_cap(b"<alert>" + b" " * document.MAX_ORIGINAL_BYTES).reason == "cap.too_large"
    assert not looked


def accepted(data: bytes) -> CapCheck:
    check = check_cap(data)
    assert check.verdict == "accepted_with_findings", check.detail
    return check


def test_xinclude_brings_nothing_in(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("CANARY-91c2")
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="{secret.as_uri()}"/>'
    data = before("")("alert").replace(b"<note>", include.encode() + b"<note>" + include.encode())
    assert "CANARY" not in repr((accepted(data), read_cap(data)))


def test_schema_and_style_are_not_fetched(tmp_path: Path) -> None:
    place = (tmp_path / "x.xsd").as_uri()
    data = before(f'<?xml-stylesheet type="text/xsl" href="{place}"?><?php system("x")?>')("alert").replace(
        b"<alert ",
        f'<alert xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="{NS} {place}" '.encode(),
    )
    assert {finding.code for finding in accepted(data).findings} == {"cap.info_missing"}


@pytest.mark.parametrize(
    "element",
    [
        '<x:a xmlns:x="urn:x" b="' + "b" * 400_000 + '"/>',
        '<x:a xmlns:x="urn:x" ' + " ".join(f'a{n}="b"' for n in range(20_000)) + "/>",
        "".join(f'<x:a xmlns:x="urn:x{n}"/>' for n in range(5_000)),
        f"<{'n' * 40_000}/>",
    ],
    ids=["huge attribute", "many attributes", "many namespaces", "long name"],
)
def test_huge_markup_is_harmless_or_refused(element: str) -> None:
    check = check_cap(f'<alert xmlns="{NS}">{HEAD}{element}</alert>'.encode())
    assert check.verdict == "accepted_with_findings"
    assert len(repr(check.findings)) < 200_000


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u2028"])
@pytest.mark.parametrize("name", ["identifier", "sender"])
def test_invisible_characters_in_identifiers_are_refused(name: str, character: str) -> None:
    data = before("")("alert").replace(f"<{name}>".encode(), f"<{name}>w{character}".encode())
    assert check_cap(data).reason == f"cap.{name}_invalid"


@pytest.mark.parametrize(
    ("text", "kept", "code"),
    [
        ("pay \u202enow", "pay now", "cap.bidi_removed"),
        ("pay\u200bment", "pay\u200bment", "cap.invisible_kept"),
        ("pay\u200dment", "pay\u200dment", "cap.invisible_kept"),
        ("\u2060pay", "\u2060pay", "cap.invisible_kept"),
        ("pay\U000e0041", "pay\U000e0041", "cap.invisible_kept"),
        ("a\ufeffb", "a\ufeffb", "cap.invisible_kept"),
    ],
)
def test_texts_that_hide_something_are_flagged(text: str, kept: str, code: str) -> None:
    data = inside(text)("alert")
    assert code in {finding.code for finding in accepted(data).findings}
    assert read_cap(data).alert.note == kept


@pytest.mark.parametrize("text", ["សូម\u200bជម្លៀស", "ရေ\u200bကြီး", "می\u200cخواهم", "👩\u200d🚒", "น้ำ\u200bท่วม"])
def test_scripts_that_need_them_keep_them_unflagged(text: str) -> None:
    codes = {finding.code for finding in check_cap(inside(text)("alert")).findings}
    assert "cap.invisible_kept" not in codes
