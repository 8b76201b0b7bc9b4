"""From bytes to a small, harmless XML tree whose root is a CAP alert, or a refusal that names what the bytes are.

The bytes are decoded here and handed to the parser as UTF-8 without their XML declaration, so that there is one opinion
on their encoding; the part before the root is read here first, so that no document type declaration reaches a parser.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

from adapters.connectors.cap.findings import Code, Findings, Refusal, Refused
from gateway.errors import MessageMalformed, MessageTooLarge

MAX_ORIGINAL_BYTES: Final = 1_900_000
"""Provenance.original of alert.proto. A larger file could not be carried verbatim, so it is not parsed at all."""
MAX_DEPTH: Final = 64
"""CAP needs 4 levels, XML-DSig a dozen."""
MAX_NODES: Final = 200_000

VERSIONS: Final = {
    "http://www.incident.com/cap/1.0": "1.0",
    "urn:oasis:names:tc:emergency:cap:1.0": "1.0",
    "urn:oasis:names:tc:emergency:cap:1.1": "1.1",
    "urn:oasis:names:tc:emergency:cap:1.2": "1.2",
    # As validators built on Google's library have accepted it; seen in real files.
    "urn:oasis:names:tc:emergency:alerts:1.2": "google",
}
_FEEDS: Final = frozenset({"feed", "entry", "rss", "RDF", "rdf", "channel", "alerts"})

# Encodings whose first bytes read like ASCII. Others could hide from the look before the root what the parser sees
# after it (UTF-7, EBCDIC, ISO-2022). National pages map to the superset that is in real use.
_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-2": "iso-8859-2",
    "iso-8859-5": "iso-8859-5",
    "iso-8859-9": "iso-8859-9",
    "iso-8859-11": "iso-8859-11",
    "iso-8859-15": "iso-8859-15",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1252": "cp1252",
    "windows-1254": "cp1254",
    "windows-1256": "cp1256",
    "windows-1258": "cp1258",
    "koi8-r": "koi8-r",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "euc-kr": "cp949",
    "euc-jp": "euc_jp",
    "shift_jis": "cp932",
}
_UTF_16: Final = frozenset({"utf-16", "utf-16le", "utf-16be", "utf16", "unicode"})
_DECLARED: Final = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_DECLARATION: Final = re.compile(r"\s*<\?xml\s[^>]*\?>")
_BEFORE_ROOT: Final = re.compile(r"\s+|<!--.*?-->|<\?.*?\?>", re.DOTALL)
_DOCTYPE: Final = re.compile(r"<!DOCTYPE\s*([^\s>\[]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """A tree whose root is a CAP alert."""

    root: etree._Element
    version: str
    text_bytes: int
    """Size in UTF-8."""


def read_document(data: bytes, findings: Findings) -> Document:
    """Return the tree of a CAP document.

    Raises:
        Refused: The bytes are too large, not XML, hostile, or not a CAP alert.
    """
    root, text_bytes = read_tree(data, findings)
    # 6. What it is.
    return Document(root, _version(root, findings), text_bytes)


def read_tree(data: bytes, findings: Findings, max_bytes: int = MAX_ORIGINAL_BYTES) -> tuple[etree._Element, int]:
    """Return the harmless tree of a document, whatever its root, and its size in UTF-8.

    Raises:
        Refused: The bytes are too large, not XML, or hostile.
    """
    # 1. Size, before anything looks at the content.
    if len(data) > max_bytes:
        raise Refused(Refusal.TOO_LARGE, MessageTooLarge("the document", len(data), max_bytes))
    # 2. One opinion on the encoding.
    text = _decode(data, findings)
    # 3. What comes before the root.
    text = _strip_declaration(text, findings)
    _check_before_root(text)
    # 4. The tree.
    encoded = text.encode()
    root = _parse(encoded)
    # 5. Its shape.
    _check_shape(root)
    return root, len(encoded)


def _decode(data: bytes, findings: Findings) -> str:
    declared = match[1].decode("ascii").lower() if (match := _DECLARED.match(data[:600])) else ""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _malformed(Refusal.ENCODING_UNSUPPORTED, "is in UTF-32, which no CAP producer uses")
    if data.startswith(codecs.BOM_UTF8):
        codec = "utf-8-sig"
        if declared and _ENCODINGS.get(declared) != "utf-8":
            findings.add(Code.ENCODING_CONTRADICTED, "alert", f"begins as UTF-8 but declares {declared}")
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        codec = "utf-16"
    elif data.startswith(b"<\x00"):
        codec = "utf-16-le"
    elif data.startswith(b"\x00<"):
        codec = "utf-16-be"
    elif declared in _UTF_16:
        # The declaration itself was readable as ASCII, so it cannot be true. Systems that write UTF-16 strings to
        # UTF-8 files leave it behind.
        codec = "utf-8"
        findings.add(Code.ENCODING_CONTRADICTED, "alert", f"declares {declared} but is not")
    elif not declared:
        codec = "utf-8"
    elif known := _ENCODINGS.get(declared):
        codec = known
    else:
        raise _malformed(Refusal.ENCODING_UNSUPPORTED, f"declares the encoding '{declared}', which is not taken")
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise _malformed(Refusal.ENCODING_BROKEN, f"is not valid {codec} at byte {error.start}") from None


def _strip_declaration(text: str, findings: Findings) -> str:
    if not (match := _DECLARATION.match(text[:1000])):
        return text
    if not match[0].startswith("<"):
        findings.add(Code.PROLOG_WHITESPACE, "alert", "white space before the XML declaration")
    text = text[match.end() :]
    if text.startswith("<?xml") and text[5:6].isspace():
        raise _malformed(Refusal.XML_BROKEN, "has two XML declarations")
    return text


def _check_before_root(text: str) -> None:
    position = 0
    while match := _BEFORE_ROOT.match(text, position):
        position = match.end()
    start = text[position : position + 200]
    if not start:
        raise _malformed(Refusal.EMPTY, "is empty")
    if match := _DOCTYPE.match(start):
        if match[1].lower() == "html":
            raise _malformed(Refusal.IS_HTML, "is a web page, not a CAP alert")
        # CAP needs no DTD; entities declared in one read local files, call other machines or fill the memory.
        raise _malformed(Refusal.DOCTYPE, "declares a document type (DTD); CAP has none, and entities are an attack")
    if start[0] in "{[":
        raise _malformed(Refusal.IS_JSON, "is JSON, not a CAP alert in XML")
    if start[0] != "<":
        raise _malformed(Refusal.NOT_XML, "is not XML")


def _parse(encoded: bytes) -> etree._Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(encoded, parser)
    except etree.LxmlError as error:
        line, column = getattr(error, "position", (0, 0))
        raise _malformed(Refusal.XML_BROKEN, f"is not well-formed XML (line {line}, column {column})") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _malformed(Refusal.DOCTYPE, "declares a document type")
    return root


def _check_shape(root: etree._Element) -> None:
    depth = 0
    nodes = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            depth += 1
            nodes += 1
            if depth > MAX_DEPTH:
                raise _malformed(Refusal.TOO_DEEP, f"nests deeper than {MAX_DEPTH} elements")
            if nodes > MAX_NODES:
                raise _malformed(Refusal.TOO_MANY_NODES, f"has more than {MAX_NODES} elements")
        else:
            depth -= 1


def _version(root: etree._Element, findings: Findings) -> str:
    name = etree.QName(root)
    if name.localname in _FEEDS:
        raise _malformed(Refusal.IS_FEED, "is a feed; hand in the alerts it links to one by one")
    if name.localname == "EDXLDistribution":
        raise _malformed(Refusal.IS_EDXL, "is an EDXL distribution; hand in the alerts inside it one by one")
    if name.localname.lower() == "html":
        raise _malformed(Refusal.IS_HTML, "is a web page, not a CAP alert")
    if name.localname != "alert":
        raise _malformed(Refusal.ROOT_UNKNOWN, "is XML, but its root is not a CAP alert")
    if not name.namespace:
        findings.add(Code.NAMESPACE_MISSING, "alert")
        return "none"
    version = VERSIONS.get(name.namespace)
    if version is None:
        raise _malformed(Refusal.NAMESPACE_UNKNOWN, "is an alert in a namespace that is not CAP 1.0, 1.1 or 1.2")
    if version == "google":
        findings.add(Code.NAMESPACE_VARIANT, "alert", name.namespace)
    return version


def _malformed(code: Refusal, problem: str) -> Refused:
    return Refused(code, MessageMalformed(f"the document {problem}"))
