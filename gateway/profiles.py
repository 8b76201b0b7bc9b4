"""Profiles of partners: what partners/<code>.toml says, parsed strictly.

Every file is taken whole or refused whole, and a refusal names the file and the key. Unknown keys are refused, so that
a misspelt word never silently widens or narrows an agreement. Leaves to others: which agreements are in force
(gateway.policy.agreements) and what partners say about themselves (cards).
"""

import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.config_values import parse_toml
from gateway.errors import ConfigInvalid, FieldInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import MAX_LIFETIME_MS, Kind, Mode, Urgency
from gateway.model.partner import (
    Agreement,
    Authority,
    Clock,
    Desk,
    LocalName,
    Notification,
    Profile,
    Regime,
    Terms,
)
from gateway.model.text import check_identifier, check_text
from gateway.policy.cedar import MAX_OFFICERS, MAX_TEXT_BYTES, parse_conditions
from gateway.policy.facts import MeasureType

MAX_FILE_BYTES: Final = 256 * 1024
"""Room for a thousand agreements; real files have a few kilobytes."""
MAX_FILES: Final = 250
"""As many as a message may have recipients; there are fewer states."""
_MS_PER_HOUR: Final = 3_600_000
_MS_PER_MINUTE: Final = 60_000
_MAX_MINUTES: Final = 90 * 24 * 60
"""Ninety days; the longest target of domain.md 1.6 is 45."""
_MAX_NOTIFICATION_HOURS: Final = 30 * 24
_MAX_RETENTION_DAYS: Final = 3653
"""Ten years, the longest retention named in domain.md 4."""
_SHOWN_PROBLEMS: Final = 5


def load_profiles(directory: Path) -> dict[PartnerId, Profile]:
    """Read every *.toml of a directory.

    Raises:
        ConfigInvalid: The directory has no profile, or a file is unreadable, too large or breaks a rule.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    # ValueError: a name with a zero in it, which no system takes.
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{directory}: cannot be listed ({getattr(error, 'strerror', error)})") from error
    if not paths:
        raise ConfigInvalid(f"{directory}: has no profile (*.toml)")
    if len(paths) > MAX_FILES:
        raise ConfigInvalid(f"{directory}: has {len(paths)} profiles; at most {MAX_FILES} are read")
    profiles = [_load(path) for path in paths]
    return {profile.partner: profile for profile in profiles}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile file, for editors and for other people's tools."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProfileFile.model_json_schema()}


def _load(path: Path) -> Profile:
    try:
        # One byte more than allowed tells a file that is too large, whatever its size says.
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(f"{path.name}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigInvalid(f"{path.name}: has more than {MAX_FILE_BYTES} bytes")
    try:
        table = parse_toml(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path.name}: is not UTF-8 (byte {error.start})") from error
    except FieldInvalid as error:
        raise ConfigInvalid(f"{path.name}: is not TOML: {error.problem}") from error
    try:
        parsed = ProfileFile.model_validate(table)
    except ValidationError as error:
        raise ConfigInvalid(_explain(path.name, error)) from error
    if path.stem != parsed.partner:
        raise ConfigInvalid(f"{path.name}: partner: is '{parsed.partner}', but the file is named for '{path.stem}'")
    return parsed.to_profile()


def _explain(name: str, error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        key = ""
        for part in item["loc"]:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
        text = "unknown key" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        problems.append(f"{name}: {key}: {text}" if key else f"{name}: {text}")
    more = len(problems) - _SHOWN_PROBLEMS
    return "; ".join(problems[:_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


# --- values of the file ------------------------------------------------------------------------------------------


def _checked(check: Callable[[str, str], object]) -> AfterValidator:
    """Make a validator of one of the gateway's own checks, which raise FieldInvalid."""

    def validate(value: str) -> str:
        try:
            check(value, "")
        except FieldInvalid as error:
            raise ValueError(error.problem) from None
        return value

    return AfterValidator(validate)


def _check_name(value: str, field: str) -> None:
    check_text(value, field)
    if value != value.strip() or "\n" in value or "\t" in value:
        raise FieldInvalid(field, "begins or ends with white space, or has a line break or tab")
    if not unicodedata.is_normalized("NFC", value):
        raise FieldInvalid(field, "is not in Unicode normal form C")


def _check_zone(value: str, field: str) -> None:
    try:
        zoneinfo.ZoneInfo(value)
    # ZoneInfo reads files: a directory, a link out of the database or a damaged file say so in different ways.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise FieldInvalid(field, "must be a zone of the IANA database, as in 'Asia/Bangkok'") from None


_Partner = Annotated[str, _checked(PartnerId.parse), Field(description="ISO 3166-1 alpha-2 in lower case")]
_AuthorityName = Annotated[str, _checked(AuthorityId.parse), Field(description="partner/authority")]
_DeskName = Annotated[
    str, Field(pattern=r"^[a-z]{2}/[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$", description="authority/desk")
]
_Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", description="BCP 47")]
_Name = Annotated[str, Field(min_length=1, max_length=256), _checked(_check_name)]
_Names = Annotated[dict[_Language, _Name], Field(min_length=1, max_length=40, description="by language; 'en' always")]
_Languages = Annotated[list[_Language], Field(min_length=1, max_length=40)]
_Zone = Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_+-]+)+$"), _checked(_check_zone)]
_Telephone = Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{6,14})?$", description="E.164; empty when not known")]
_Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_Instrument = Annotated[str, Field(min_length=1, max_length=128), _checked(check_identifier)]
_KindName = Literal["alert", "referral", "request", "update", "answer", "recall", "operation"]
_CaseKindName = Literal["referral", "request", "update", "answer", "recall", "operation"]
_ModeName = Literal["actual", "exercise", "test"]
_Minutes = Annotated[int, Field(ge=1, le=_MAX_MINUTES)]


def _check_conditions(value: str, field: str) -> None:
    del field
    parse_conditions("checked", value)


_Conditions = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_BYTES), _checked(_check_conditions)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AuthorityEntry(_Strict):
    """An authority of this partner that may speak on the exchange."""

    id: _AuthorityName
    names: _Names

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_english(self.names)
        return self


class DeskEntry(_Strict):
    """A duty post that answers round the clock."""

    id: _DeskName
    telephone: _Telephone
    languages: _Languages
    time_zone: Annotated[_Zone | None, Field(description="the partner's when left out")] = None
    names: _Names

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_english(self.names)
        _require_unique("languages", self.languages)
        return self


class ClockEntry(_Strict):
    """Targets in minutes from when a message was sent, round the clock."""

    receipt_minutes: _Minutes
    acknowledge_minutes: _Minutes
    decide_minutes: _Minutes
    status_minutes: _Minutes

    def to_clock(self) -> Clock:
        """Return the targets as a value of the model."""
        return Clock(
            receipt_ms=self.receipt_minutes * _MS_PER_MINUTE,
            acknowledge_ms=self.acknowledge_minutes * _MS_PER_MINUTE,
            decide_ms=self.decide_minutes * _MS_PER_MINUTE,
            status_ms=self.status_minutes * _MS_PER_MINUTE,
        )


class NotificationEntry(_Strict):
    """When a state is told that one of its nationals is detained; mandatory only where both sides list it."""

    regime: Literal["on_request", "mandatory_bilateral"]
    hours: Annotated[int, Field(ge=1, le=_MAX_NOTIFICATION_HOURS)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.hours is None) is (self.regime == "mandatory_bilateral"):
            raise ValueError("hours: belongs to 'mandatory_bilateral', and only there")
        return self


class TermsEntry(_Strict):
    """What an agreement says of one kind of case; what is left out is as in the agreement."""

    measures: Annotated[list[MeasureType], Field(min_length=1, description="for requests, and only there")] | None = (
        None
    )
    purposes: Annotated[list[_Word], Field(min_length=1, max_length=64)] | None = None
    legal_bases: Annotated[list[_Instrument], Field(min_length=1, max_length=16)] | None = None
    approvals: Annotated[
        int, Field(ge=1, le=MAX_OFFICERS, description="officers who approve what leaves, besides whoever wrote it")
    ] = 1
    clocks: Annotated[dict[Literal["U0", "U1", "U2", "U3"], ClockEntry], Field(description="by urgency")] = {}
    retention_days: Annotated[int, Field(ge=1, le=_MAX_RETENTION_DAYS)] | None = None
    notification: NotificationEntry = NotificationEntry(regime="on_request")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("measures", "purposes", "legal_bases"):
            _require_unique(name, getattr(self, name) or ())
        return self

    def to_terms(self, agreement: "AgreementEntry") -> Terms:
        """Return the terms as a value of the model."""
        return Terms(
            measures=frozenset(self.measures or ()),
            purposes=frozenset(self.purposes or agreement.purposes),
            legal_bases=frozenset(self.legal_bases or agreement.legal_bases),
            approvals=self.approvals,
            clocks=tuple((Urgency[name], entry.to_clock()) for name, entry in sorted(self.clocks.items())),
            retention_days=self.retention_days or agreement.retention_days,
            notification=Notification(Regime(self.notification.regime), self.notification.hours or 0),
        )


class AgreementEntry(_Strict):
    """What this partner has agreed to exchange; in force with a partner whose own file lists the id and names us."""

    id: _Word
    partners: Annotated[list[_Partner], Field(min_length=1, max_length=MAX_FILES)]
    kinds: Annotated[list[_KindName], Field(min_length=1)]
    authorities: Annotated[
        list[_AuthorityName], Field(min_length=1, max_length=64, description="own ones that may send")
    ]
    purposes: Annotated[list[_Word], Field(min_length=1, max_length=64)]
    legal_bases: Annotated[list[_Instrument], Field(min_length=1, max_length=16)]
    modes: Annotated[list[_ModeName], Field(min_length=1)]
    default_lifetime_hours: Annotated[int, Field(ge=1, le=MAX_LIFETIME_MS // _MS_PER_HOUR)]
    retention_days: Annotated[int, Field(ge=1, le=_MAX_RETENTION_DAYS)]
    release: Annotated[
        Literal["system", "officers"],
        Field(description="'system': leaves when the checks pass; 'officers': two officers release it"),
    ]
    terms: Annotated[dict[_CaseKindName, TermsEntry], Field(description="by kind of case")] = {}
    conditions: Annotated[
        _Conditions | None, Field(description="Cedar rules that narrow the agreement; none can widen it")
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("partners", "kinds", "authorities", "purposes", "legal_bases", "modes"):
            _require_unique(name, getattr(self, name))
        for kind, terms in self.terms.items():
            if kind not in self.kinds:
                raise ValueError(f"terms.{kind}: is not among the kinds")
            if (terms.measures is None) is (kind == "request"):
                raise ValueError(f"terms.{kind}: measures: belong to requests, which must list them")
            for name in ("purposes", "legal_bases"):
                if outside := sorted(set(getattr(terms, name) or ()) - set(getattr(self, name))):
                    raise ValueError(f"terms.{kind}: {name}: '{outside[0]}' is not among those of the agreement")
        if "request" in self.kinds and "request" not in self.terms:
            raise ValueError("terms.request: is missing; it lists the measures that may be asked for")
        # Alerts are judged once for many, on less than conditions may ask about.
        if self.conditions is not None and "alert" in self.kinds:
            raise ValueError("conditions: cannot stand in an agreement about alerts; give cases one of their own")
        return self

    def to_agreement(self) -> Agreement:
        """Return the agreement as a value of the model."""
        return Agreement(
            id=self.id,
            partners=frozenset(PartnerId.parse(partner) for partner in self.partners),
            kinds=frozenset(Kind[kind.upper()] for kind in self.kinds),
            authorities=frozenset(AuthorityId.parse(authority) for authority in self.authorities),
            purposes=frozenset(self.purposes),
            legal_bases=tuple(self.legal_bases),
            modes=frozenset(Mode[mode.upper()] for mode in self.modes),
            default_lifetime_ms=self.default_lifetime_hours * _MS_PER_HOUR,
            retention_days=self.retention_days,
            release=self.release,
            terms=tuple((Kind[kind.upper()], terms.to_terms(self)) for kind, terms in sorted(self.terms.items())),
            conditions=self.conditions or "",
        )


class ProfileFile(_Strict):
    """A partner's profile: partners/<code>.toml."""

    partner: _Partner
    time_zone: _Zone
    languages: _Languages
    names: _Names
    authority: Annotated[list[AuthorityEntry], Field(min_length=1, max_length=64)]
    desk: Annotated[list[DeskEntry], Field(max_length=64)]
    agreement: Annotated[list[AgreementEntry], Field(max_length=1024)] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_english(self.names)
        _require_unique("languages", self.languages)
        own = [entry.id for entry in self.authority]
        _require_unique("authority", own)
        _require_unique("desk", [entry.id for entry in self.desk])
        _require_unique("agreement", [entry.id for entry in self.agreement])
        for authority in own:
            if not authority.startswith(f"{self.partner}/"):
                raise ValueError(f"authority: '{authority}' is not an authority of '{self.partner}'")
        for desk in self.desk:
            if desk.id.rpartition("/")[0] not in own:
                raise ValueError(f"desk: '{desk.id}' belongs to no authority of this file")
        for agreement in self.agreement:
            if self.partner in agreement.partners:
                raise ValueError(f"agreement '{agreement.id}': partners: names the partner itself")
            if unknown := sorted(set(agreement.authorities) - set(own)):
                raise ValueError(
                    f"agreement '{agreement.id}': authorities: '{unknown[0]}' is not declared in this file"
                )
        return self

    def to_profile(self) -> Profile:
        """Return the profile as a value of the model."""
        return Profile(
            partner=PartnerId.parse(self.partner),
            names=_local_names(self.names),
            time_zone=self.time_zone,
            languages=tuple(self.languages),
            desks=tuple(
                Desk(
                    id=entry.id,
                    names=_local_names(entry.names),
                    telephone=entry.telephone,
                    time_zone=entry.time_zone or self.time_zone,
                    languages=tuple(entry.languages),
                )
                for entry in self.desk
            ),
            agreements=tuple(entry.to_agreement() for entry in self.agreement),
            authorities=tuple(
                Authority(AuthorityId.parse(entry.id), _local_names(entry.names)) for entry in self.authority
            ),
        )


def _require_english(names: dict[str, str]) -> None:
    # The one language that every reader of a log, an error or a proof is assumed to have.
    if "en" not in names:
        raise ValueError("names: has no English name ('en')")


def _require_unique(key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{key}: names '{value}' twice")
        seen.add(value)


def _local_names(names: dict[str, str]) -> tuple[LocalName, ...]:
    return tuple(LocalName(language, name) for language, name in names.items())
