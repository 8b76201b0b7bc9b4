"""The closed lists of what may be odd about a CAP document and of why one is refused (docs/reference/cap.md)."""

from enum import StrEnum
from typing import Final

from gateway.errors import GatewayError
from gateway.model.alert import Finding
from gateway.model.text import FORBIDDEN_IN_TEXT

MAX_FINDINGS: Final = 200
"""Well under the protocol's 1,000, so that findings never crowd out the alert."""
MAX_PER_CODE: Final = 30
_MAX_DETAIL: Final = 120
_MAX_PATH: Final = 160


class Code(StrEnum):
    """Odd, but read."""

    ADDRESSES_MISSING = "cap.addresses_missing"
    AREA_MISSING = "cap.area_missing"
    AREA_NAME_ONLY = "cap.area_name_only"
    BIDI_REMOVED = "cap.bidi_removed"
    CIRCLE_INVALID = "cap.circle_invalid"
    CONTROL_REMOVED = "cap.control_removed"
    COORDINATE_INVALID = "cap.coordinate_invalid"
    COORDINATE_ORDER = "cap.coordinate_order"
    COORDINATE_WRAPPED = "cap.coordinate_wrapped"
    DEREF_DROPPED = "cap.deref_dropped"
    ELEMENT_EMPTY = "cap.element_empty"
    ELEMENT_FOREIGN = "cap.element_foreign"
    ELEMENT_MISSING = "cap.element_missing"
    ELEMENT_ORDER = "cap.element_order"
    ELEMENT_REPEATED = "cap.element_repeated"
    ELEMENT_UNKNOWN = "cap.element_unknown"
    ENCODING_CONTRADICTED = "cap.encoding_contradicted"
    EXPIRES_BEFORE_SENT = "cap.expires_before_sent"
    EXPIRES_BEFORE_START = "cap.expires_before_start"
    EXPIRES_MISSING = "cap.expires_missing"
    FEED_LINKS = "cap.feed_links"
    FINDINGS_CUT = "cap.findings_cut"
    IDENTIFIER_FORM = "cap.identifier_form"
    INFO_MISSING = "cap.info_missing"
    ITEMS_CUT = "cap.items_cut"
    LANGUAGE_INVALID = "cap.language_invalid"
    LANGUAGE_MISSING = "cap.language_missing"
    NAMESPACE_MISSING = "cap.namespace_missing"
    NAMESPACE_MIXED = "cap.namespace_mixed"
    NAMESPACE_VARIANT = "cap.namespace_variant"
    NUMBER_INVALID = "cap.number_invalid"
    PASSWORD_DROPPED = "cap.password_dropped"  # noqa: S105 - the code of a finding
    POLYGON_DROPPED = "cap.polygon_dropped"
    POLYGON_EMPTY = "cap.polygon_empty"
    POLYGON_LONG = "cap.polygon_long"
    POLYGON_OPEN = "cap.polygon_open"
    POLYGON_SHORT = "cap.polygon_short"
    PROLOG_WHITESPACE = "cap.prolog_whitespace"
    REFERENCE_INVALID = "cap.reference_invalid"
    REFERENCE_MISSING = "cap.reference_missing"
    REFERENCE_SELF = "cap.reference_self"
    RESTRICTION_MISSING = "cap.restriction_missing"
    SIGNATURE_PRESENT = "cap.signature_present"
    SIGNATURE_SEVERAL = "cap.signature_several"
    STATUS_NOT_SENDABLE = "cap.status_not_sendable"
    TEXT_CHILDREN = "cap.text_children"
    TEXT_CUT = "cap.text_cut"
    TEXT_STRAY = "cap.text_stray"
    TIME_FORM = "cap.time_form"
    TIME_INVALID = "cap.time_invalid"
    TIME_NAIVE = "cap.time_naive"
    URI_REFUSED = "cap.uri_refused"
    VALUE_DROPPED = "cap.value_dropped"
    VALUE_FORM = "cap.value_form"
    VALUE_UNKNOWN = "cap.value_unknown"


class Refusal(StrEnum):
    """Not taken."""

    DOCTYPE = "cap.doctype"
    EMPTY = "cap.empty"
    ENCODING_BROKEN = "cap.encoding_broken"
    ENCODING_UNSUPPORTED = "cap.encoding_unsupported"
    HEAD_REPEATED = "cap.head_repeated"
    IDENTIFIER_INVALID = "cap.identifier_invalid"
    IDENTIFIER_MISSING = "cap.identifier_missing"
    IS_EDXL = "cap.is_edxl"
    IS_FEED = "cap.is_feed"
    IS_HTML = "cap.is_html"
    IS_JSON = "cap.is_json"
    MSG_TYPE_MISSING = "cap.msg_type_missing"
    MSG_TYPE_UNKNOWN = "cap.msg_type_unknown"
    NAMESPACE_UNKNOWN = "cap.namespace_unknown"
    NOT_XML = "cap.not_xml"
    ROOT_UNKNOWN = "cap.root_unknown"
    SENDER_INVALID = "cap.sender_invalid"
    SENDER_MISSING = "cap.sender_missing"
    SENT_INVALID = "cap.sent_invalid"
    SENT_MISSING = "cap.sent_missing"
    TOO_DEEP = "cap.too_deep"
    TOO_LARGE = "cap.too_large"
    TOO_MANY_NODES = "cap.too_many_nodes"
    XML_BROKEN = "cap.xml_broken"


class Refused(Exception):
    """Carries a refusal, and the error a caller gets, out of the depths of the reader."""

    def __init__(self, code: Refusal, error: GatewayError) -> None:
        super().__init__(code)
        self.code = code
        self.error = error


class Findings:
    """Collects findings, and stays small whatever the document does."""

    def __init__(self) -> None:
        self._items: list[Finding] = []
        self._counts: dict[Code, int] = {}
        self._left_out = 0

    def add(self, code: Code, path: str, detail: str = "") -> None:
        """Note that something at a path is odd. Details may quote the document."""
        count = self._counts.get(code, 0)
        if count >= MAX_PER_CODE or len(self._items) >= MAX_FINDINGS - 1:
            self._left_out += 1
            return
        self._counts[code] = count + 1
        self._items.append(Finding(code.value, path[:_MAX_PATH], FORBIDDEN_IN_TEXT.sub("\ufffd", detail[:_MAX_DETAIL])))

    def collected(self) -> tuple[Finding, ...]:
        """Return all, and how many were left out."""
        if not self._left_out:
            return tuple(self._items)
        left_out = Finding(Code.FINDINGS_CUT.value, "alert", f"{self._left_out} more")
        return (*self._items, left_out)
