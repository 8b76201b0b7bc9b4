"""Systems, auditors and officers that may call with a certificate: those of concord.toml and those registered later.

    CONCORD_HOME/systems.json   mode 0600; written by the gateway only

What is registered while running is known by its very certificates, so a name that was removed and given again does not
open to the old ones. A system of concord.toml is known by its name, until it is removed here: then it stays removed.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.config import Config
from gateway.config_values import check_system_name
from gateway.crypto.certificates import ROLES
from gateway.errors import CallerUnknown, ConfigInvalid, FieldInvalid, NotFound, StateConflict
from gateway.exchange.officers import DRAFTING_ROLES, Officer
from gateway.exchange.officers import ROLES as OFFICER_ROLES
from gateway.exchange.submission import Submitter
from gateway.ids import AuthorityId, OfficerId, PartnerId
from gateway.installation.private_files import read_private, sync_directory, write_private

REGISTRY_FILE: Final = "systems.json"
MAX_REGISTRY_BYTES: Final = 1 << 20
MAX_REGISTERED: Final = 1000
MAX_AUTHORITIES: Final = 64
CERTIFICATES_KEPT: Final = 4
"""Of one system: the newest, and those it may still use while its machines are renewed one by one."""
_FORMAT: Final = "concord-systems"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that was issued while running."""

    digest: str
    """SHA-256 of the DER, in hexadecimal."""
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A system, auditor or officer."""

    role: str
    name: str
    authorities: tuple[AuthorityId, ...]
    in_settings: bool
    certificates: tuple[IssuedCertificate, ...] = ()
    """Newest first."""
    officer_id: str = ""
    """Pseudonym of an officer: what the exchange log says, and what may go abroad, instead of the name."""
    officer_roles: tuple[str, ...] = ()

    @property
    def principal(self) -> str:
        """As callers are named: system/early-warning."""
        return f"{self.role}/{self.name}"


class Registry(Mapping[str, Submitter]):
    """Who may call with a certificate, by principal, and for whom each speaks. Not for several threads.

    Raises:
        ConfigInvalid: The file is there and cannot be used: a registration must not vanish unseen.
    """

    def __init__(self, home: Path, config: Config) -> None:
        self._home = home
        self._own: PartnerId = config.partner
        self._listeners: list[Callable[[], None]] = []
        settings = {
            f"system/{item.name}": Registered(
                role="system", name=item.name, authorities=item.authorities, in_settings=True
            )
            for item in config.system
        }
        self._settings = settings
        self._entries, self._removed = self._load()
        self._tokens = {
            f"token/{principal.name}": Submitter(
                principal=f"token/{principal.name}", authorities=frozenset(principal.authorities)
            )
            for issuer in config.issuer
            for principal in issuer.principal
            if principal.role != "officer"
        }
        self._token_officers = {
            f"token/{principal.name}": Officer(
                officer_id=OfficerId.parse(principal.officer_id),
                roles=frozenset(principal.officer_roles),
                authorities=frozenset(principal.authorities),
            )
            for issuer in config.issuer
            for principal in issuer.principal
            if principal.role == "officer"
        }
        self._known: dict[str, Registered] = {}
        self._submitters: dict[str, Submitter] = {}
        self._officers: dict[str, Officer] = {}
        self._apply()

    # --- reading ---------------------------------------------------------------------------------------------

    def __getitem__(self, principal: str) -> Submitter:
        return self._submitters[principal]

    def __iter__(self) -> Iterator[str]:
        return iter(self._submitters)

    def __len__(self) -> int:
        return len(self._submitters)

    def all(self) -> tuple[Registered, ...]:
        """Return those who may call with a certificate, by role and name."""
        return tuple(self._known[principal] for principal in sorted(self._known))

    def officer(self, principal: str) -> Officer:
        """Return the officer that a caller is.

        Raises:
            CallerUnknown: The caller is none, or no longer.
        """
        try:
            return self._officers[principal]
        except KeyError:
            raise CallerUnknown(f"'{principal}' is not registered here as an officer") from None

    def officers(self) -> dict[OfficerId, Officer]:
        """Return all officers by pseudonym. One who has a certificate and tokens has the roles of both."""
        found: dict[OfficerId, Officer] = {}
        for officer in self._officers.values():
            known = found.get(officer.officer_id, officer)
            found[officer.officer_id] = Officer(
                officer_id=officer.officer_id,
                roles=known.roles | officer.roles,
                authorities=known.authorities | officer.authorities,
            )
        return found

    def check_certificate(self, principal: str, digest: bytes) -> None:
        """Refuse a certificate that was not issued to this registration.

        Raises:
            CallerUnknown: It was not.
        """
        known = self._known.get(principal)
        if known is None:
            raise CallerUnknown(f"'{principal}' is not registered here")
        if not known.in_settings and digest.hex() not in {item.digest for item in known.certificates}:
            raise CallerUnknown(f"the certificate is not one that '{principal}' holds now")

    # --- changing: on disk first, so that nobody is let in whom a restart would forget ------------------------

    def check_new(
        self, role: str, name: str, authorities: tuple[AuthorityId, ...], officer_roles: tuple[str, ...] = ()
    ) -> None:
        """Refuse what cannot be registered.

        Raises:
            FieldInvalid: Role, name or authorities are not allowed.
            StateConflict: The name is taken.
        """
        if role not in ROLES:
            raise FieldInvalid("role", f"must be one of {', '.join(ROLES)}")
        check_system_name(name)
        if (role != "auditor") is not bool(authorities):
            raise FieldInvalid("authorities", "a system or officer is of at least one authority, an auditor of none")
        if (role == "officer") is not bool(officer_roles) or not set(officer_roles) <= set(OFFICER_ROLES):
            raise FieldInvalid("officer_roles", f"an officer has at least one of {', '.join(OFFICER_ROLES)}")
        if len(authorities) > MAX_AUTHORITIES or len(set(authorities)) != len(authorities):
            raise FieldInvalid("authorities", f"must be at most {MAX_AUTHORITIES}, each once")
        for authority in authorities:
            if authority.partner != self._own:
                raise FieldInvalid("authorities", f"'{authority}' is not an authority of '{self._own}'")
        if f"{role}/{name}" in self._known:
            raise StateConflict(f"'{role}/{name}' is registered already")
        if len(self._entries) >= MAX_REGISTERED:
            raise StateConflict(f"{MAX_REGISTERED} are registered already")

    def add(
        self,
        role: str,
        name: str,
        authorities: tuple[AuthorityId, ...],
        certificate: IssuedCertificate,
        officer_roles: tuple[str, ...] = (),
    ) -> Registered:
        """Register one with its first certificate.

        Raises:
            FieldInvalid: As check_new.
            StateConflict: As check_new.
            ConfigInvalid: The file cannot be written.
        """
        self.check_new(role, name, authorities, officer_roles)
        entry = Registered(
            role=role,
            name=name,
            authorities=authorities,
            in_settings=False,
            certificates=(certificate,),
            officer_id=self._pseudonym() if role == "officer" else "",
            officer_roles=tuple(word for word in OFFICER_ROLES if word in officer_roles),
        )
        self._replace({**self._entries, entry.principal: entry}, self._removed)
        return entry

    def _pseudonym(self) -> str:
        """Return a pseudonym that nobody has or had here: a name that is given again is somebody else."""
        while True:
            # Drawn, not derived: whoever knows the names of our officers must not find out who decided.
            found = f"o-{os.urandom(5).hex()}"
            if OfficerId(found) not in self.officers():
                return found

    def find(self, role: str, name: str) -> Registered:
        """Return one.

        Raises:
            NotFound: It is not registered.
        """
        try:
            return self._known[f"{role}/{name}"]
        except KeyError:
            raise NotFound("no system or auditor of this name is registered") from None

    def renew(self, role: str, name: str, certificate: IssuedCertificate) -> Registered:
        """Give one another certificate beside those it has.

        Raises:
            NotFound: It is not registered.
            ConfigInvalid: The file cannot be written.
        """
        found = self.find(role, name)
        entry = replace(found, certificates=(certificate, *found.certificates)[:CERTIFICATES_KEPT])
        self._replace({**self._entries, entry.principal: entry}, self._removed)
        return entry

    def remove(self, role: str, name: str) -> Registered:
        """Take one back with all its certificates.

        Raises:
            NotFound: It is not registered.
            ConfigInvalid: The file cannot be written.
        """
        found = self.find(role, name)
        entries = {principal: item for principal, item in self._entries.items() if principal != found.principal}
        removed = self._removed | {found.principal} if found.principal in self._settings else self._removed
        self._replace(entries, removed)
        return found

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after each change."""
        self._listeners.append(callback)

    def _replace(self, entries: dict[str, Registered], removed: frozenset[str]) -> None:
        data = {
            "format": _FORMAT,
            "version": _VERSION,
            "removed": sorted(removed),
            "systems": [_to_json(item) for item in entries.values()],
        }
        try:
            write_private(self._home / REGISTRY_FILE, json.dumps(data, indent=1).encode())
            sync_directory(self._home)
        except OSError as error:
            raise ConfigInvalid(f"{self._home / REGISTRY_FILE}: cannot be written: {error.strerror}") from None
        self._entries, self._removed = entries, removed
        self._apply()
        for callback in self._listeners:
            callback()

    def _apply(self) -> None:
        kept = {principal: item for principal, item in self._settings.items() if principal not in self._removed}
        for principal, entry in self._entries.items():
            listed = kept.get(principal)
            # For whom a listed system speaks, concord.toml says; this file adds when its certificate ends.
            kept[principal] = entry if listed is None else replace(listed, certificates=entry.certificates)
        # An entry of a system that is gone from concord.toml opens nothing.
        self._known = {p: item for p, item in kept.items() if item.authorities or item.role == "auditor"}
        self._submitters = dict(self._tokens)
        self._officers = dict(self._token_officers)
        for principal, item in self._known.items():
            if item.role == "officer":
                self._officers[principal] = Officer(
                    officer_id=OfficerId.parse(item.officer_id),
                    roles=frozenset(item.officer_roles),
                    authorities=frozenset(item.authorities),
                )
            else:
                self._submitters[principal] = Submitter(principal=principal, authorities=frozenset(item.authorities))
        for principal, officer in self._officers.items():
            # Who only approves hands nothing in; who does is an author, and never approves it.
            drafts = officer.authorities if officer.roles & DRAFTING_ROLES else frozenset[AuthorityId]()
            self._submitters[principal] = Submitter(principal=officer.principal, authorities=drafts)

    def _load(self) -> tuple[dict[str, Registered], frozenset[str]]:
        path = self._home / REGISTRY_FILE
        if not path.exists():
            return {}, frozenset()
        data = read_private(path, MAX_REGISTRY_BYTES, missing="was there a moment ago")
        try:
            found = json.loads(data)
            if found["format"] != _FORMAT or found["version"] != _VERSION:
                raise ConfigInvalid(f"{path}: not of a version known here")
            entries = [_from_json(item) for item in found["systems"]]
            return {item.principal: item for item in entries}, frozenset(str(item) for item in found["removed"])
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            FieldInvalid,
        ) as error:
            raise ConfigInvalid(f"{path}: cannot be read ({type(error).__name__}); restore it from a copy") from None


def _to_json(item: Registered) -> dict[str, Any]:
    return {
        "role": item.role,
        "name": item.name,
        "in_settings": item.in_settings,
        "authorities": [] if item.in_settings else [str(authority) for authority in item.authorities],
        "certificates": [[certificate.digest, certificate.end_ms] for certificate in item.certificates],
        **({"officer_id": item.officer_id, "officer_roles": list(item.officer_roles)} if item.officer_id else {}),
    }


def _from_json(data: dict[str, Any]) -> Registered:
    if data["role"] not in ROLES:
        raise FieldInvalid("role", f"must be one of {', '.join(ROLES)}")
    roles = tuple(str(word) for word in data.get("officer_roles", ()))
    if (data["role"] == "officer") is not bool(roles) or not set(roles) <= set(OFFICER_ROLES):
        raise FieldInvalid("officer_roles", f"an officer has at least one of {', '.join(OFFICER_ROLES)}")
    return Registered(
        role=data["role"],
        name=check_system_name(data["name"]),
        authorities=tuple(AuthorityId.parse(item) for item in data["authorities"]),
        in_settings=bool(data["in_settings"]),
        certificates=tuple(IssuedCertificate(str(digest), int(end_ms)) for digest, end_ms in data["certificates"]),
        officer_id=OfficerId.parse(data["officer_id"]).name if roles else "",
        officer_roles=roles,
    )
