"""One element of a CAP document and what stands in it, whatever the order, with findings for what is odd."""

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, TypeVar

from lxml import etree

from adapters.connectors.cap.document import VERSIONS
from adapters.connectors.cap.findings import Code, Findings
from gateway.errors import FieldInvalid
from gateway.model.text import FORBIDDEN_IN_TEXT, check_uri

DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_BIDI: Final = re.compile("[\u202a-\u202e]")
# Zero-width characters where no script needs them: between Latin, Greek or Cyrillic letters they only hide that two
# texts differ. Khmer, Burmese, Lao, Thai, Persian and emoji use such spaces and joiners, and keep them unnoted.
_INVISIBLE: Final = re.compile("[\u0021-\u052f][\u200b-\u200d]|[\u2060-\u2064\u180e\ufeff\U000e0000-\U000e007f]")
_Enum = TypeVar("_Enum", bound=IntEnum)


class Section:
    """An element that holds other elements: alert, info, resource or area."""

    def __init__(
        self,
        element: etree._Element,
        path: str,
        order: dict[str, int],
        repeatable: frozenset[str],
        findings: Findings,
    ) -> None:
        self.path = path
        self.findings = findings
        self._children: dict[str, list[etree._Element]] = {}
        self._repeatable = repeatable
        namespace = etree.QName(element).namespace
        _note_stray(element.text, path, findings)
        last = -1
        in_order = True
        for child in element:
            _note_stray(child.tail, path, findings)
            name = etree.QName(child)
            if name.namespace != namespace and not self._is_ours(name, findings):
                continue
            position = order.get(name.localname)
            if position is None:
                if name.localname == "password":
                    # CAP 1.0 had one. A secret does not travel in an alert.
                    findings.add(Code.PASSWORD_DROPPED, f"{path}/password")
                else:
                    findings.add(Code.ELEMENT_UNKNOWN, f"{path}/{name.localname}")
                continue
            if position < last and in_order:
                in_order = False
                findings.add(
                    Code.ELEMENT_ORDER, f"{path}/{name.localname}", "the first of this element out of its place"
                )
            last = max(last, position)
            self._children.setdefault(name.localname, []).append(child)

    def elements(self, name: str, most: int) -> Sequence[tuple[str, etree._Element]]:
        """Return the elements of a repeatable name with their paths, at most so many."""
        found = self._children.get(name, [])
        if len(found) > most:
            self.findings.add(Code.ITEMS_CUT, f"{self.path}/{name}", f"{len(found)}; at most {most} are taken")
        return [(f"{self.path}/{name}[{number}]", child) for number, child in enumerate(found[:most], 1)]

    def count(self, name: str) -> int:
        """Return how often a name occurs."""
        return len(self._children.get(name, ()))

    def raw(self, name: str, *, required: bool = False) -> str:
        """Return the stripped text of the first element of a name; empty when there is none."""
        found = self._children.get(name)
        path = f"{self.path}/{name}"
        if not found:
            if required:
                self.findings.add(Code.ELEMENT_MISSING, path)
            return ""
        if len(found) > 1 and name not in self._repeatable:
            self.findings.add(Code.ELEMENT_REPEATED, path, f"{len(found)} times; the first counts")
        text = element_text(found[0], path, self.findings)
        if not text:
            self.findings.add(Code.ELEMENT_EMPTY, path)
        return text

    def text(self, name: str, most: int, *, required: bool = False) -> str:
        """Return a text as people may see it, cut to so many bytes of UTF-8."""
        path = self.at(name)
        return fit_bytes(clean(self.raw(name, required=required), path, self.findings), most, path, self.findings)

    def texts(self, name: str, most_items: int, most: int) -> tuple[str, ...]:
        """Return the texts of a repeatable name cut to so many characters, empty ones left out."""
        items = []
        for path, element in self.elements(name, most_items):
            if text := clean(element_text(element, path, self.findings), path, self.findings):
                items.append(fit_characters(text, most, path, self.findings))
            else:
                self.findings.add(Code.ELEMENT_EMPTY, path)
        return tuple(items)

    def uri(self, name: str, most: int) -> str:
        """Return an address that may become a link, or nothing."""
        value = clean(self.raw(name), self.at(name), self.findings)
        if len(value) > most:
            # Half an address leads elsewhere.
            self.findings.add(Code.VALUE_DROPPED, self.at(name), f"{len(value)} characters; at most {most} are taken")
            return ""
        try:
            check_uri(value, self.at(name))
        except FieldInvalid:
            self.findings.add(Code.URI_REFUSED, self.at(name), value)
            return ""
        return value

    def choice(self, name: str, values: dict[str, _Enum], unknown: _Enum, absent: _Enum) -> _Enum:
        """Return a value of a closed list."""
        text = self.raw(name, required=True)
        if not text:
            return absent
        if (found := values.get(text)) is not None:
            return found
        folded = {key.lower(): value for key, value in values.items()}
        if (found := folded.get(text.lower())) is not None:
            self.findings.add(Code.VALUE_FORM, self.at(name), text)
            return found
        self.findings.add(Code.VALUE_UNKNOWN, self.at(name), text)
        return unknown

    def at(self, name: str) -> str:
        """Return the path of a single element."""
        return f"{self.path}/{name}"

    def _is_ours(self, name: etree.QName, findings: Findings) -> bool:
        if name.namespace == DSIG and name.localname == "Signature" and self.path == "alert":
            return False
        if not name.namespace or name.namespace in VERSIONS:
            findings.add(Code.NAMESPACE_MIXED, f"{self.path}/{name.localname}", name.namespace or "none")
            return True
        findings.add(Code.ELEMENT_FOREIGN, f"{self.path}/{name.localname}", name.namespace)
        return False


def element_text(element: etree._Element, path: str, findings: Findings) -> str:
    """Return the stripped text of an element; children, which CAP does not know here, are flattened."""
    if len(element) == 0:
        return (element.text or "").strip()
    findings.add(Code.TEXT_CHILDREN, path)
    return " ".join(" ".join(str(part) for part in element.itertext()).split())


def clean(text: str, path: str, findings: Findings) -> str:
    """Take out what would make a text look like another one. The original keeps it."""
    if text.isascii() and text.isprintable():
        return text
    if found := _INVISIBLE.search(text):
        findings.add(Code.INVISIBLE_KEPT, path, f"U+{ord(found[0][-1]):04X} at character {found.end()}")
    if not FORBIDDEN_IN_TEXT.search(text):
        return text
    if _BIDI.search(text):
        findings.add(Code.BIDI_REMOVED, path)
        text = _BIDI.sub("", text)
    if FORBIDDEN_IN_TEXT.search(text):
        findings.add(Code.CONTROL_REMOVED, path)
        text = FORBIDDEN_IN_TEXT.sub("", text)
    return text.strip()


def fit_characters(text: str, most: int, path: str, findings: Findings) -> str:
    """Return a text cut to so many characters."""
    if len(text) > most:
        findings.add(Code.TEXT_CUT, path, f"{len(text)} characters; at most {most} are taken")
    return text[:most]


def fit_bytes(text: str, most: int, path: str, findings: Findings) -> str:
    """Return a text cut to so many bytes of UTF-8, between characters."""
    if len(text) * 4 <= most or len(encoded := text.encode()) <= most:
        return text
    findings.add(Code.TEXT_CUT, path, f"{len(encoded)} bytes; at most {most} are taken")
    return encoded[:most].decode(errors="ignore")


def _note_stray(text: str | None, path: str, findings: Findings) -> None:
    if text and not text.isspace():
        findings.add(Code.TEXT_STRAY, path, text.strip())
