"""The options of a CAP connector in concord.toml (docs/reference/configuration.md explains each)."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.errors import FieldInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Mode, Urgency

ALL: Final = "all"
MAX_URL: Final = 2048


def _authority(value: Any) -> AuthorityId:
    if isinstance(value, AuthorityId):
        return value
    try:
        return AuthorityId.parse(value if isinstance(value, str) else "", "authority")
    except FieldInvalid as error:
        raise PydanticCustomError("field", "{problem}", {"problem": error.problem}) from None


def _partner(value: Any) -> PartnerId:
    if isinstance(value, PartnerId):
        return value
    try:
        return PartnerId.parse(value if isinstance(value, str) else "", "partner")
    except FieldInvalid as error:
        raise PydanticCustomError("field", "{problem}", {"problem": error.problem}) from None


def _mode(value: Any) -> Mode:
    modes = {"actual": Mode.ACTUAL, "exercise": Mode.EXERCISE, "test": Mode.TEST}
    if isinstance(value, Mode):
        return value
    if not isinstance(value, str) or value not in modes:
        raise PydanticCustomError("field", "must be actual, exercise or test")
    return modes[value]


def _urgency(value: Any) -> Urgency:
    if isinstance(value, Urgency):
        return value
    if not isinstance(value, str) or value not in Urgency.__members__:
        raise PydanticCustomError("field", "must be U0, U1, U2 or U3")
    return Urgency[value]


def _folder(value: Any, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise PydanticCustomError("field", "must be a path")
    return Path((info.context or {}).get("folder", ""), value)


def _url(value: Any) -> str:
    problem = "must be a URL, as in https://alerts.example/feed.atom, without a user or a fragment"
    if not isinstance(value, str) or len(value) > MAX_URL or not value.isascii() or not value.isprintable():
        raise PydanticCustomError("field", problem)
    try:
        parts = urlsplit(value)
        fine = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise PydanticCustomError("field", problem) from None
    if not fine or "@" in parts.netloc or parts.fragment or " " in value:
        raise PydanticCustomError("field", problem)
    return value


Authority = Annotated[AuthorityId, BeforeValidator(_authority)]
Partner = Annotated[PartnerId, BeforeValidator(_partner)]
ModeName = Annotated[Mode, BeforeValidator(_mode)]
UrgencyName = Annotated[Urgency, BeforeValidator(_urgency)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Url = Annotated[str, BeforeValidator(_url)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SourceOptions(_Section):
    """What becomes of the alerts of one source."""

    name: Name
    """Stands in the request ids: under another name everything is handed in again."""
    authority: Authority
    """For whom the alerts speak."""
    to: Literal["all"] | tuple[Partner, ...]
    """The recipients, or all: every known partner that an agreement covers."""
    mode: ModeName
    """An alert of another status is refused."""
    purpose: str = Field(default="public_warning", min_length=1, max_length=128)
    urgency: UrgencyName | None = None
    """Instead of what CAP's urgency and severity say."""
    most_urgent: UrgencyName = Urgency.U0
    """The source cannot make anything more urgent than this."""
    findings: Literal["accept", "refuse"] = "accept"
    """What becomes of alerts about which something is odd."""

    @field_validator("to")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value != ALL and (not value or len(set(value)) != len(value)):
            raise PydanticCustomError("field", "must be 'all' or name partners, each once")
        return value

    @field_validator("authority")
    @classmethod
    def _spoken_for(cls, value: AuthorityId, info: ValidationInfo) -> AuthorityId:
        authorities = (info.context or {}).get("authorities")
        if authorities is not None and value not in authorities:
            raise PydanticCustomError("field", "the connector may not speak for '{a}'", {"a": str(value)})
        return value

    @property
    def recipients(self) -> tuple[PartnerId, ...] | None:
        """The recipients as the desk takes them."""
        return None if isinstance(self.to, str) else self.to


class WatchOptions(SourceOptions):
    """A folder in which alerts appear."""

    folder: Folder
    settle_s: float = Field(default=1.0, ge=0.05, le=3600)
    """How long a file must not change before it counts as complete; also how often the folder is looked at."""


class FeedOptions(SourceOptions):
    """A feed that is polled."""

    url: Url
    interval_s: float = Field(default=60.0, ge=0.05, le=86_400)
    hosts: tuple[str, ...] = Field(default=(), max_length=32)
    """Hosts beside the feed's own from which alerts and redirects are followed."""
    plain_http: bool = False
    """Allow http://, which anybody on the way can change."""
    timeout_s: float = Field(default=30.0, ge=0.1, le=600)
    """For one answer from first byte asked to last byte read."""
    max_kb: int = Field(default=8_192, ge=1, le=65_536)
    """The largest feed, unpacked, in KiB. A single alert may have 1.9 MB at most."""

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.url.startswith("http:") and not self.plain_http:
            raise PydanticCustomError("field", "url: must begin with https://, or plain_http must be true")
        return self


class ShownOptions(_Section):
    """Which alerts leave the gateway towards national systems."""

    exercises: bool = False
    """Exercise alerts too, with status Exercise. Test messages never leave."""
    tlp: Literal["clear", "green", "amber"] = "clear"
    """The most restricted marking that is shown."""
    own: bool = True
    """Alerts that this state sent, too."""


class ServeOptions(ShownOptions):
    """Alerts over HTTP."""

    listen: str = Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$")
    base_url: Url | None = None
    """What stands in links; http(s)://listen unless stated."""
    certificate: Folder | None = None
    key: Folder | None = None
    title: str = Field(default="Alerts", min_length=1, max_length=200)
    page_size: int = Field(default=50, ge=1, le=500)
    keep: int = Field(default=1_000, ge=1, le=10_000)
    """How many of the newest messages are looked through for the feed."""
    per_s: float = Field(default=20.0, gt=0, le=100_000)
    """Requests a second from one address, averaged over burst."""
    burst: int = Field(default=100, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise PydanticCustomError("field", "certificate and key: state both or none")
        if int(self.listen.rpartition(":")[2]) > 65_535:
            raise PydanticCustomError("field", "listen: must be host:port")
        return self

    @property
    def base(self) -> str:
        """What links begin with, without a slash at the end."""
        scheme = "https" if self.certificate is not None else "http"
        return (self.base_url or f"{scheme}://{self.listen}").rstrip("/")


class WriteOptions(ShownOptions):
    """Alerts as files."""

    folder: Folder
    acknowledge: bool = False
    """State to the sender, once the file is on disk, that a system of ours has it."""


class CapOptions(_Section):
    """All options of one CAP connector."""

    watch: tuple[WatchOptions, ...] = Field(default=(), max_length=64)
    feed: tuple[FeedOptions, ...] = Field(default=(), max_length=256)
    serve: ServeOptions | None = None
    write: WriteOptions | None = None

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        names = [source.name for source in (*self.watch, *self.feed)]
        for name in names:
            if names.count(name) > 1:
                raise PydanticCustomError("field", "name: '{name}' is given to two sources", {"name": name})
        folders = [source.folder.absolute() for source in self.watch]
        if self.write is not None:
            # What is written out must never be read in again.
            folders.append(self.write.folder.absolute())
        for folder in folders:
            if sum(folder == other or folder in other.parents for other in folders) > 1:
                raise PydanticCustomError("field", "folder: '{f}' is used twice or holds another", {"f": str(folder)})
        if not (names or self.serve or self.write):
            raise PydanticCustomError("field", "must have at least one of watch, feed, serve and write")
        return self
