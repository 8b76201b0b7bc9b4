"""The home of a gateway on disk.

    CONCORD_HOME/            mode 0700
      concord.toml           settings (gateway.config)
      keyring.age            every private key, locked with the passphrase
      certs/                 authority.pem, gateway.pem, system-<name>.pem: public
                             system-<name>.key.pem: for the national system, mode 0600

The keyring is written last: a home without it was never finished, and opening it says so. Whatever fails half-way
takes back all it made, so that nobody continues with half of the files.
"""

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from gateway.config import CONFIG_FILE, Config, Listen, load_config, packaged_partners_dir
from gateway.config_values import check_host_port, check_system_name, parse_mode
from gateway.crypto.cards import fingerprint
from gateway.crypto.certificates import LEAF_DAYS, issue_system
from gateway.crypto.keyring import Keyring
from gateway.errors import ConfigInvalid, FieldInvalid, StateConflict
from gateway.ids import AuthorityId, PartnerId
from gateway.installation.passphrases import check_new_passphrase
from gateway.installation.private_files import read_private, sync_directory, write_private
from gateway.model.header import Kind, Mode
from gateway.profiles import load_profiles

KEYRING_FILE: Final = "keyring.age"
CERTIFICATES: Final = "certs"
MAX_KEYRING_BYTES: Final = 16 << 20
MAX_SOCKET_PATH: Final = 107
"""sun_path of Linux has 108 bytes with its end; the socket is <home>/admin.sock."""
_WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared with, never listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new home is to be."""

    partner: PartnerId
    mode: Mode
    federation: str = "127.0.0.1:7443"
    exchange: str = "127.0.0.1:7444"
    endpoints: tuple[str, ...] = ()
    systems: tuple[tuple[str, tuple[AuthorityId, ...]], ...] = ()
    authority: AuthorityId | None = None
    extra: str = ""
    """More lines for the top of concord.toml; for tests of clocks that differ."""

    @classmethod
    def parse(
        cls,
        *,
        partner: str,
        mode: str,
        federation: str,
        exchange: str,
        endpoints: Sequence[str],
        systems: Sequence[str],
        authority: str,
    ) -> Self:
        """Return the plan that words of a command line describe, completed from the partner's profile.

        Raises:
            FieldInvalid: A word is not what it should be.
        """
        own = PartnerId.parse(partner)
        known = profile_authorities(own)
        given = AuthorityId.parse(authority) if authority else None
        chosen = given or (known[0] if known else None)
        named = tuple(_parse_system(text) for text in systems)
        if not named and (known or chosen):
            named = (("national", known or (chosen,) if chosen else known),)
        for field, item in [("authority", chosen), *(("system", a) for _, list_ in named for a in list_)]:
            if item is not None and item.partner != own:
                raise FieldInvalid(field, f"'{item}' is not an authority of '{own}'")
        if not endpoints and federation.startswith(("0.0.0.0:", "[::]:")):
            raise FieldInvalid("public", "must be stated when listening on every address: partners need a name")
        return cls(
            partner=own,
            mode=parse_mode(mode),
            federation=check_host_port(federation, "listen_federation"),
            exchange=check_host_port(exchange, "listen_exchange"),
            endpoints=tuple(check_host_port(item, "public") for item in endpoints),
            systems=named,
            authority=chosen,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedHome:
    """What create_home made."""

    home: Path
    keyring: Path
    settings: Path
    certificates: Path
    certificates_end_ms: int
    fingerprint: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedHome:
    """A home whose keyring is unlocked."""

    home: Path
    config: Config
    keyring: Keyring
    save: Callable[[Keyring], None]
    """Locks another keyring with the same passphrase and replaces the file; durable when it returns. Blocks for
    a second: call it in a thread."""

    def __repr__(self) -> str:
        return f"OpenedHome({self.home})"

    @property
    def certificates(self) -> Path:
        """Directory of the certificates."""
        return self.home / CERTIFICATES

    @property
    def admin_socket(self) -> Path:
        """Where the AdminService listens."""
        return self.home / "admin.sock"


def create_home(
    home: Path, plan: Plan, passphrase: str, now_ms: int, *, recovery_public: bytes | None = None
) -> CreatedHome:
    """Make keys, certificates and settings in a new or empty directory; all of it or nothing.

    Args:
        recovery_public: The recovery key that the card is to name.

    Raises:
        StateConflict: There is something in the directory.
        ConfigInvalid: The directory cannot be made, or its path is too long for a socket.
        FieldInvalid: The passphrase is too weak.
    """
    check_new_passphrase(passphrase)
    _check_home(home)
    existed = home.exists()
    made: list[Path] = []
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkdir obeys the umask and leaves a directory that exists as it was.
        home.chmod(0o700)
        certificates = home / CERTIFICATES
        made.append(certificates)
        certificates.mkdir(mode=0o700)
        names = host_names(plan.endpoints, plan)
        keyring = Keyring.generate(plan.partner, now_ms, names=names, recovery_public=recovery_public)
        files = write_certificates(certificates, keyring, plan.partner, [name for name, _ in plan.systems], now_ms)
        settings = home / CONFIG_FILE
        made.append(settings)
        write_private(settings, settings_text(plan).encode())
        # What was written must be what can be read: a home that does not start is worse than none.
        load_config(home)
        keyring_file = home / KEYRING_FILE
        made.append(keyring_file)
        write_private(keyring_file, keyring.lock(passphrase))
        sync_directory(home)
    except OSError as error:
        _take_back(home, made, existed=existed)
        raise ConfigInvalid(f"{error.filename or home}: {error.strerror}") from None
    except BaseException:
        _take_back(home, made, existed=existed)
        raise
    return CreatedHome(
        home=home,
        keyring=keyring_file,
        settings=settings,
        certificates=certificates,
        certificates_end_ms=now_ms + LEAF_DAYS * 86_400_000,
        fingerprint=fingerprint(keyring.identity.verify_key.public),
        files=(settings, keyring_file, *files),
    )


def open_home(home: Path, passphrase: str) -> OpenedHome:
    """Read the settings and unlock the keyring.

    Raises:
        ConfigInvalid: The settings are wrong, a file is missing or open to others, or keyring and settings differ.
        PassphraseWrong: It does not unlock the keyring.
    """
    config = load_config(home)
    path = home / KEYRING_FILE
    data = read_private(
        path, MAX_KEYRING_BYTES, missing="the home was never finished; remove it and run `concord init`"
    )
    keyring = Keyring.unlock(data, passphrase)
    if keyring.partner != config.partner:
        raise ConfigInvalid(f"{path}: holds the keys of '{keyring.partner}', but the settings say '{config.partner}'")

    def save(changed: Keyring) -> None:
        save_keyring(home, changed, passphrase)

    return OpenedHome(home=home, config=config, keyring=keyring, save=save)


def save_keyring(home: Path, keyring: Keyring, passphrase: str) -> None:
    """Lock a keyring and put it in the place of the one there; durable when it returns."""
    write_private(home / KEYRING_FILE, keyring.lock(passphrase))
    sync_directory(home)


def warnings_about(home: Path, config: Config) -> tuple[str, ...]:
    """Return what is dangerous though not forbidden about a home, in sentences."""
    warnings = []
    for path, allowed in ((home, 0o700), (home / CONFIG_FILE, 0o600), (home / KEYRING_FILE, 0o600)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            warnings.append(f"{path} is missing or cannot be looked at")
            continue
        if mode & ~allowed:
            warnings.append(f"{path} has mode {mode:04o}; {allowed:04o} keeps others out")
    if not config.system:
        warnings.append("no [[system]] is listed: no national system can call")
    if config.default_authority is None:
        warnings.append("default_authority is not set: `concord send` needs --as")
    if config.clock_offset_ms:
        warnings.append(f"the clock is shifted by {config.clock_offset_ms} ms: for tests only")
    return tuple(warnings)


def _check_home(home: Path) -> None:
    if len(os.fsencode((home / "admin.sock").absolute())) > MAX_SOCKET_PATH:
        raise ConfigInvalid(
            f"{home}: the path is too long: <home>/admin.sock may have {MAX_SOCKET_PATH} bytes; choose a shorter one"
        )
    try:
        taken = home.exists() and (not home.is_dir() or any(home.iterdir()))
    except OSError as error:
        raise ConfigInvalid(f"{home}: cannot be looked at: {error.strerror}") from None
    if taken:
        raise StateConflict(f"{home} is there already and is not an empty directory; nothing was changed")


def _take_back(home: Path, made: Sequence[Path], *, existed: bool) -> None:
    for path in made:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not existed:
        shutil.rmtree(home, ignore_errors=True)


def host_names(endpoints: Sequence[str], listen: Plan | Listen) -> tuple[str, ...]:
    """Return the host names and addresses under which the gateway is called."""
    hosts = (item.rpartition(":")[0].strip("[]") for item in (*endpoints, listen.federation, listen.exchange))
    return tuple(dict.fromkeys([*(host for host in hosts if host not in _WILDCARD_HOSTS), "localhost", "127.0.0.1"]))


def write_certificates(
    directory: Path, keyring: Keyring, partner: PartnerId, systems: Sequence[str], now_ms: int
) -> tuple[Path, ...]:
    """Write the keyring's certificates and fresh ones of national systems; return the files."""
    authority = (keyring.authority_key_pem, keyring.authority_certificate_pem)
    written = []

    def write(name: str, data: bytes, mode: int = 0o644) -> None:
        write_private(directory / name, data, mode)
        written.append(directory / name)

    write("authority.pem", keyring.authority_certificate_pem)
    write("gateway.pem", keyring.tls_certificate_pem)
    for name in systems:
        key_pem, certificate_pem = issue_system(authority, partner, name, now_ms)
        write(f"system-{name}.pem", certificate_pem)
        write(f"system-{name}.key.pem", key_pem, 0o600)
    sync_directory(directory)
    return tuple(written)


def profile_authorities(partner: PartnerId) -> tuple[AuthorityId, ...]:
    """Return the authorities of a partner's shipped profile that may send alerts, the most used first."""
    try:
        profile = load_profiles(packaged_partners_dir()).get(partner)
    except ConfigInvalid:
        return ()
    if profile is None:
        return ()
    uses: dict[AuthorityId, int] = {entry.id: 0 for entry in profile.authorities}
    for agreement in profile.agreements:
        if Kind.ALERT in agreement.kinds:
            for authority in agreement.authorities:
                uses[authority] = uses.get(authority, 0) + 1
    return tuple(sorted((a for a in uses if uses[a]), key=lambda authority: -uses[authority]))


def _parse_system(text: str) -> tuple[str, tuple[AuthorityId, ...]]:
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise FieldInvalid("system", "must be NAME=AUTHORITY[,AUTHORITY], as in early-warning=th/ddpm")
    return check_system_name(name), tuple(AuthorityId.parse(item, "system") for item in rest.split(","))


def settings_text(plan: Plan) -> str:
    """Return concord.toml for a plan, with comments for whoever opens it next."""
    lines = [
        "# Settings of a Concord gateway. `concord config check` tests this file; each key is explained in",
        "# docs/reference/configuration.md.",
        "# Environment variables CONCORD_* override it: CONCORD_LISTEN__FEDERATION=0.0.0.0:7443.",
        "",
        f'partner = "{plan.partner}"',
        "# actual, exercise or test. Messages are marked with it; a home keeps its mode for life.",
        f'mode = "{plan.mode.name.lower()}"',
    ]
    if plan.authority is not None:
        lines += ["# For whom `concord send` speaks when --as is not given.", f'default_authority = "{plan.authority}"']
    if plan.extra:
        lines.append(plan.extra)
    lines += [
        "# Database: empty means SQLite in this directory; postgresql://user@host/name for several replicas.",
        '# store = ""',
        "# Profiles and agreements, when not those that come with Concord.",
        '# partners_dir = "partners"',
        "",
        "[listen]",
        "# Partner gateways call here. 0.0.0.0 or [::] listens on every address and needs [public].",
        f'federation = "{plan.federation}"',
        "# This state's own systems call here, with a certificate from certs/.",
        f'exchange = "{plan.exchange}"',
        "",
        "[public]",
        "# host:port under which partners reach the federation listener, as the card says; empty: the listener itself.",
        f"endpoints = [{', '.join(f'{chr(34)}{item}{chr(34)}' for item in plan.endpoints)}]",
        "",
        "# National systems, by the name in their certificate, and for whom each speaks.",
    ]
    for name, authorities in plan.systems:
        listed = ", ".join(f'"{authority}"' for authority in authorities)
        lines += ["[[system]]", f'name = "{name}"', f"authorities = [{listed}]", ""]
    return "\n".join(lines).rstrip("\n") + "\n"
