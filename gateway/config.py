"""Settings of one gateway: CONCORD_HOME/concord.toml, overridden by environment variables CONCORD_*.

Every key is known or refused: a setting that is silently ignored is a setting that somebody believes in. Absent
settings never widen access: without them the gateway listens on loopback only and serves no national system.
Secrets are not settings; the keyring has its own file (gateway.installation). docs/reference/configuration.md
explains each key.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from gateway.config_values import (
    MEDIA_TYPES,
    Authority,
    HostPort,
    MediaRange,
    ModeName,
    OtlpEndpoint,
    Partner,
    Section,
    SystemName,
    parse_toml,
)
from gateway.errors import ConfigInvalid, FieldInvalid
from gateway.ids import AuthorityId
from gateway.issuers import Issuer, check_issuers
from gateway.model.header import Mode

CONFIG_FILE: Final = "concord.toml"
DATABASE_DIRECTORY: Final = "data"
ATTACHMENT_DIRECTORY: Final = "attachments"
MAX_CONFIG_BYTES: Final = 256 * 1024
"""A hundred times what a large ministry writes; a mistaken path must not fill the memory."""
NOT_SETTINGS: Final = frozenset({"CONCORD_HOME", "CONCORD_PASSPHRASE_FILE", "CONCORD_CORPUS", "CONCORD_TRACEBACK"})
"""Variables with our prefix that other parts read."""

_WILDCARDS = ("0.0.0.0:", "[::]:")


class Listen(Section):
    """Where the gateway listens."""

    federation: HostPort = "127.0.0.1:7443"
    """For partner gateways."""
    exchange: HostPort = "127.0.0.1:7444"
    """For this state's own systems."""
    tokens: HostPort | None = None
    """For systems that show an access token and no certificate."""
    reflection: bool | None = None
    """Whether the exchange listener describes itself. Absent: in modes exercise and test only."""


class TelemetrySection(Section):
    """What operators' systems are given. By default nothing is counted, listened on or sent."""

    prometheus: HostPort | None = None
    """Where metrics can be fetched; keep it inside your network."""
    otlp: OtlpEndpoint | None = None
    """Collector to which metrics, and traces when wanted, are sent by gRPC."""
    otlp_headers_file: Path | None = None
    """File of mode 0600 with lines `name: value` that the collector wants to see. After load_config absolute."""
    otlp_ca_file: Path | None = None
    """PEM file of the authorities that may have certified the collector. After load_config absolute."""
    trace_ratio: float | None = Field(default=None, ge=0, le=1)
    """Share of submitting calls that are traced though they do not ask; 0: only those that ask; absent: none."""
    partner_traces_per_s: int = Field(default=10, ge=0, le=1_000)
    """Traces a second into which one partner may have our part drawn."""

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        for key in ("otlp_headers_file", "otlp_ca_file", "trace_ratio"):
            if getattr(self, key) is not None and self.otlp is None:
                raise PydanticCustomError("telemetry", "{key} needs telemetry.otlp", {"key": key})
        if self.otlp_ca_file is not None and not (self.otlp or "").startswith("https:"):
            raise PydanticCustomError("telemetry", "otlp_ca_file needs telemetry.otlp with https", {})
        return self


class Public(Section):
    """What the card tells partners."""

    endpoints: tuple[HostPort, ...] = Field(default=(), max_length=8)
    """host:port under which partners reach the federation listener, most wanted first."""


class System(Section):
    """A national system that may call, and for whom it speaks."""

    name: SystemName
    authorities: tuple[Authority, ...] = Field(min_length=1)


class ConnectorSection(BaseModel):
    """A connector that runs in the gateway. Other keys are its kind's own options, which the kind checks."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: SystemName
    kind: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """Entry point in the group concord.connectors."""
    authorities: tuple[Authority, ...] = Field(min_length=1)
    """For whom it speaks, and whose own messages it sees."""


class Limits(Section):
    """Bounds that keep one caller from starving the others."""

    submit_per_s: int = Field(default=2_000, ge=1, le=1_000_000)
    """Messages a second that one national system may hand in, averaged over submit_burst; U0 is never refused."""
    submit_burst: int = Field(default=10_000, ge=1, le=10_000_000)
    partner_per_s: int = Field(default=2_000, ge=1, le=1_000_000)
    """Envelopes a second taken from one partner, averaged over partner_burst."""
    partner_burst: int = Field(default=10_000, ge=1, le=10_000_000)
    prefetch_mb: int = Field(default=64, ge=1, le=65_536)
    """Sealed envelopes held in memory for all links together, in MiB; the rest waits in the database."""
    queued_mb: int = Field(default=64, ge=4, le=65_536)
    """Submissions that may wait in memory to be sealed, in MiB; beyond it all but U0 are told to come back."""


class Attachments(Section):
    """Files that travel beside messages: what is taken, how much, and where it lies."""

    directory: Path | None = None
    """Where sealed files lie; beside the database of a home unless stated. Replicas share it. After load_config set."""
    max_mb: int = Field(default=2048, ge=1, le=2048)
    """Largest file, in MiB."""
    total_mb: int = Field(default=65_536, ge=1, le=1 << 30)
    """All files here, in MiB; beyond it none is taken or fetched. One partner's may be half of it."""
    keep_free_mb: int = Field(default=1024, ge=0, le=1 << 30)
    """Room on the disk, in MiB, that files leave for the database."""
    by_other_means: bool = False
    """Whether drafts may name files that were not uploaded here, because they travel otherwise, by courier perhaps."""
    media_types: tuple[MediaRange, ...] = Field(default=MEDIA_TYPES, max_length=256)
    """Kinds that are taken and fetched, as type/subtype or type/*."""


class Config(BaseSettings):
    """All settings of one gateway, checked."""

    model_config = SettingsConfigDict(
        env_prefix="CONCORD_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    partner: Partner
    mode: ModeName
    listen: Listen = Listen()
    public: Public = Public()
    store: str = Field(default="", repr=False)
    """URL of the database. After load_config never empty."""
    partners_dir: Path = Path()
    """Profiles and agreements; those that come with Concord unless stated. After load_config absolute."""
    system: tuple[System, ...] = ()
    issuer: tuple[Issuer, ...] = Field(default=(), max_length=16)
    connector: tuple[ConnectorSection, ...] = Field(default=(), max_length=64)
    default_authority: Authority | None = None
    """For whom `concord send` speaks when --as is not given."""
    limits: Limits = Limits()
    attachments: Attachments = Attachments()
    telemetry: TelemetrySection = TelemetrySection()
    clock_offset_ms: int = Field(default=0, ge=-86_400_000, le=86_400_000)
    """Shifts the clock, for tests of gateways whose clocks differ."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 the library fixes the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content comes as keywords."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        if self.mode is Mode.ACTUAL and self.clock_offset_ms:
            raise PydanticCustomError("clock_offset_ms", "clock_offset_ms: refused in mode actual: it is for tests")
        for table, names in (
            ("system", [system.name for system in self.system]),
            ("connector", [connector.name for connector in self.connector]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise PydanticCustomError(
                        table, "{table}: '{name}' is listed twice", {"table": table, "name": name}
                    )
        check_issuers(self.issuer, tokens=self.listen.tokens)
        mine = [("system.authorities", a) for system in self.system for a in system.authorities]
        mine += [("connector.authorities", a) for connector in self.connector for a in connector.authorities]
        mine += [("issuer.principal.authorities", a) for i in self.issuer for p in i.principal for a in p.authorities]
        if self.default_authority is not None:
            mine.append(("default_authority", self.default_authority))
        for key, authority in mine:
            if authority.partner != self.partner:
                raise PydanticCustomError(
                    "authority",
                    "{key}: '{authority}' is not an authority of '{partner}'",
                    {"key": key, "authority": str(authority), "partner": str(self.partner)},
                )
        if self.listen.federation.startswith(_WILDCARDS) and not self.public.endpoints:
            raise PydanticCustomError(
                "endpoints",
                "public.endpoints: must be stated when listen.federation is every address: partners need a name",
            )
        return self

    @property
    def reflects(self) -> bool:
        """Whether the exchange listener describes itself: in mode actual only when the settings say so."""
        stated = self.listen.reflection
        return self.mode is not Mode.ACTUAL if stated is None else stated

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What the card says: the public endpoints, else the federation listener."""
        return self.public.endpoints or (self.listen.federation,)

    def authorities_of(self, system: str) -> frozenset[AuthorityId]:
        """Return the authorities a national system speaks for; empty when it is not listed."""
        return frozenset(a for entry in self.system if entry.name == system for a in entry.authorities)


def packaged_partners_dir() -> Path:
    """Return where partner profiles are: in the installed package, else beside the source tree."""
    package = Path(__file__).resolve().parent
    packaged = package / "data" / "partners"
    return packaged if packaged.is_dir() else package.parent / "partners"


def load_config(home: Path) -> Config:
    """Read and check the settings of a home.

    Raises:
        ConfigInvalid: Names the file, the line where known, and the key.
    """
    path = home / CONFIG_FILE
    text = _read(path)
    try:
        data = parse_toml(text)
    except FieldInvalid as error:
        raise ConfigInvalid(f"{path}: {error.problem}") from None
    for key in data:
        # Keywords with a leading underscore would steer pydantic-settings itself.
        if key.startswith("_"):
            raise ConfigInvalid(f"{_place(path, text, (key,))}: {key}: unknown key")
    try:
        config = Config(**data)
    except ValidationError as error:
        raise ConfigInvalid("; ".join(_problem(path, text, item) for item in error.errors())) from None
    except SettingsError as error:
        raise ConfigInvalid(f"environment: {error}; lists and tables are written as JSON") from None
    resolved: dict[str, Any] = {}
    if not config.store:
        # An absolute path begins with the third slash of the URL.
        resolved["store"] = f"sqlite://{quote(str((home / DATABASE_DIRECTORY).absolute()))}"
    stated = "partners_dir" in config.model_fields_set
    resolved["partners_dir"] = (home / config.partners_dir).absolute() if stated else packaged_partners_dir()
    lies = home / (config.attachments.directory or Path(DATABASE_DIRECTORY) / ATTACHMENT_DIRECTORY)
    resolved["attachments"] = config.attachments.model_copy(update={"directory": lies.absolute()})
    named = {key: getattr(config.telemetry, key) for key in ("otlp_headers_file", "otlp_ca_file")}
    files = {key: (home / file).absolute() for key, file in named.items() if file is not None}
    if files:
        resolved["telemetry"] = config.telemetry.model_copy(update=files)
    return config.model_copy(update=resolved)


def unknown_variables(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return environment variables that look like settings but are none, for a warning."""
    known = {f"CONCORD_{name.upper()}" for name in Config.model_fields}
    return tuple(
        sorted(
            name
            for name in environ
            if name.startswith("CONCORD_")
            and name.split("__", 1)[0] not in known
            and name not in NOT_SETTINGS
            and not name.startswith("CONCORD_TEST_")
        )
    )


def setting_variables(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the environment variables that override settings."""
    known = {f"CONCORD_{name.upper()}" for name in Config.model_fields}
    return tuple(sorted(name for name in environ if name.split("__", 1)[0] in known))


def effective(config: Config) -> dict[str, Any]:
    """Return the settings as plain data to show, with the database password hidden."""
    data = config.model_dump(mode="json")
    data["store"] = re.sub(r"(://[^/@:]*):[^@]*@", r"\1:***@", config.store)
    return data


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: there is no such file; `concord init` makes a home") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigInvalid(f"{path}: larger than {MAX_CONFIG_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: not UTF-8 at byte {error.start}") from None


def _problem(path: Path, text: str, item: Any) -> str:
    return problem_at(path, text, tuple(item["loc"]), item)


def problem_at(path: Path, text: str, location: tuple[Any, ...], item: Any) -> str:
    """Return in words, with file and line, what pydantic found wrong at a place in the settings."""
    name = ".".join(str(part) for part in location if isinstance(part, str))
    variable = next((v for v in _variables(location) if v in os.environ), None)
    place = f"environment variable {variable}" if variable else _place(path, text, location)
    if item["type"] == "extra_forbidden":
        return f"{place}: {name}: unknown key{_suggestion(location)}"
    if item["type"] == "missing":
        return f"{path}: {name}: must be stated"
    message = str(item["msg"])
    # The input is left out on purpose: a database URL may hold a password.
    return f"{place}: {name}: {message}" if name else f"{path}: {message}"


def _variables(location: tuple[Any, ...]) -> tuple[str, ...]:
    names = [str(part).upper() for part in location]
    return tuple("CONCORD_" + "__".join(names[:depth]) for depth in range(len(names), 0, -1))


_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "listen": Listen,
    "public": Public,
    "system": System,
    "issuer": Issuer,
    "connector": ConnectorSection,
    "limits": Limits,
    "attachments": Attachments,
    "telemetry": TelemetrySection,
}


def _suggestion(location: tuple[Any, ...]) -> str:
    model: type[BaseModel] = Config
    if len(location) > 1 and location[0] in _SECTIONS:
        model = _SECTIONS[location[0]]
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _place(path: Path, text: str, location: tuple[Any, ...]) -> str:
    line = _line_of(text, location)
    return f"{path}:{line}" if line else str(path)


def _line_of(text: str, location: tuple[Any, ...]) -> int | None:
    # A good guess is enough here: tomllib keeps no positions.
    table: tuple[Any, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?", line)
        if header:
            names = tuple(header[2].split("."))
            if header[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
                for inner in [known for known in counts if len(known) > len(names) and known[: len(names)] == names]:
                    del counts[inner]
            table = _numbered(names, counts)
            if table == location:
                return number
            continue
        key = re.match(r"\s*([\w.-]+)\s*=", line)
        if key and table + tuple(key[1].split(".")) == location:
            return number
    return _line_of(text, location[:-1]) if len(location) > 1 else None


def _numbered(names: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> tuple[Any, ...]:
    """Return a table's name with the number of each array of tables on the way, as pydantic names places."""
    numbered: list[Any] = []
    for depth, name in enumerate(names, 1):
        numbered.append(name)
        if names[:depth] in counts:
            numbered.append(counts[names[:depth]])
    return tuple(numbered)
