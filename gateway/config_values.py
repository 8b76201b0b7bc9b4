"""Values of settings: each parses or says what is wrong with it."""

import re
import tomllib
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from gateway.errors import FieldInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Mode

_HOST_PORT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})):(\d{1,5})\Z", re.ASCII)
_SYSTEM_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")

MAX_DOTS: Final = 200
"""In one line. The parser's time rises with the square of the parts of a key: 120 kB of them take it a minute."""

T = TypeVar("T")


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text holds.

    Raises:
        FieldInvalid: It is none, or one that nobody writes.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MAX_DOTS:
            raise FieldInvalid("toml", f"has more than {MAX_DOTS} dots in line {number}")
    try:
        return tomllib.loads(text)
    # ValueError: also an integer of more digits than Python reads.
    except ValueError as error:
        raise FieldInvalid("toml", f"not valid TOML: {error}") from None
    except RecursionError:
        raise FieldInvalid("toml", "nested too deeply") from None


def _parsed(parse: Callable[[str], T], kind: type[T]) -> Callable[[Any], T]:
    def validate(value: Any) -> T:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("text", "must be a text")
        try:
            return parse(value)
        except FieldInvalid as error:
            raise PydanticCustomError("field", "{problem}", {"problem": error.problem}) from None

    return validate


def parse_mode(text: str) -> Mode:
    """Return the mode named actual, exercise or test.

    Raises:
        FieldInvalid: Any other word.
    """
    try:
        return {"actual": Mode.ACTUAL, "exercise": Mode.EXERCISE, "test": Mode.TEST}[text]
    except KeyError:
        raise FieldInvalid("mode", "must be actual, exercise or test") from None


def check_host_port(value: str, field: str = "endpoint") -> str:
    """Return the text if it is host:port, with an IPv6 address in brackets.

    Raises:
        FieldInvalid: It is not.
    """
    match = _HOST_PORT.match(value)
    if match is None or int(match[1]) > 65_535:
        raise FieldInvalid(field, "must be host:port, as in gateway.example:7443 or [::1]:7443")
    return value


def check_otlp_endpoint(value: str) -> str:
    """Return the text if it is http://host:port or https://host:port and nothing more.

    Raises:
        FieldInvalid: It is not.
    """
    scheme, mark, rest = value.partition("://")
    if not mark or scheme not in {"http", "https"}:
        raise FieldInvalid("otlp", "must begin with http:// or https://, as in http://collector.example:4317")
    # No user, path or query: OTLP over gRPC has no use for them, and a secret belongs into otlp_headers_file.
    return f"{scheme}://{check_host_port(rest, 'otlp')}"


def check_system_name(value: str) -> str:
    """Return the text if it may name a national system.

    Raises:
        FieldInvalid: It may not.
    """
    if not _SYSTEM_NAME.match(value):
        raise FieldInvalid("system.name", "must be lower-case letters, digits and hyphens, as in early-warning")
    return value


def _checked(check: Callable[[str], str]) -> BeforeValidator:
    def validate(value: Any) -> str:
        if not isinstance(value, str):
            raise PydanticCustomError("text", "must be a text")
        try:
            return check(value)
        except FieldInvalid as error:
            raise PydanticCustomError("field", "{problem}", {"problem": error.problem}) from None

    return BeforeValidator(validate)


# NoDecode: a variable holds the id itself, not JSON.
_AsText = PlainSerializer(str, return_type=str)
Partner = Annotated[PartnerId, NoDecode, BeforeValidator(_parsed(PartnerId.parse, PartnerId)), _AsText]
Authority = Annotated[AuthorityId, NoDecode, BeforeValidator(_parsed(AuthorityId.parse, AuthorityId)), _AsText]
ModeName = Annotated[
    Mode, BeforeValidator(_parsed(parse_mode, Mode)), PlainSerializer(lambda mode: mode.name.lower(), return_type=str)
]
HostPort = Annotated[str, _checked(check_host_port)]
OtlpEndpoint = Annotated[str, _checked(check_otlp_endpoint)]
SystemName = Annotated[str, _checked(check_system_name)]
MediaRange = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/([*]|[a-z0-9][a-z0-9!#$&^_.+-]{0,62})$")
]
MEDIA_TYPES: Final = (
    "application/gzip",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/xml",
    "application/zip",
    "audio/*",
    "image/*",
    "message/rfc822",
    "text/csv",
    "text/plain",
    "video/*",
)
"""What evidence comes as. Nothing that a machine runs when somebody opens it: programs, scripts, pages."""
# Printable ASCII: what looks like another name is another name.
TokenName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]


class Section(BaseModel):
    """A table of the settings: every key known, and nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")
