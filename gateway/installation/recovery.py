"""The recovery key's file, and the way back with it when the identity key is lost or stolen.

The file is made outside the home: whoever steals the home must not find the key that takes it from him again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.crypto.cards import fingerprint, verify_first_card
from gateway.crypto.keyring import Keyring
from gateway.crypto.recovery import RecoveryKey
from gateway.errors import ConfigInvalid, FieldInvalid
from gateway.exchange.own_card import recover_card
from gateway.ids import PartnerId
from gateway.installation.home import OpenedHome, host_names, save_keyring, write_certificates
from gateway.installation.passphrases import check_new_passphrase
from gateway.installation.private_files import read_private, sync_directory, write_new_private
from gateway.model.partner import SignedCard
from gateway.ports import Codec
from gateway.profiles import load_profiles

MAX_RECOVERY_BYTES: Final = 64 * 1024
MAX_ABOVE: Final = 2**62
"""Cards are numbered in 63 bits; numbers must be left for those that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredHome:
    """What recover_home made."""

    card: SignedCard
    sequence: int
    fingerprint: str
    certificates: tuple[Path, ...]


def check_outside(path: Path, home: Path, what: str) -> None:
    """Refuse a place inside the home, however it is written.

    Raises:
        FieldInvalid: It is inside.
    """
    if path.resolve().is_relative_to(home.resolve()):
        raise FieldInvalid(what, f"must lie outside {home}: whoever steals the home must not find it there")


def create_recovery_file(path: Path, home: Path, partner: PartnerId, passphrase: str) -> bytes:
    """Make a recovery key, write it locked to a new file of mode 0600, and return its public part.

    Raises:
        FieldInvalid: The place is inside the home, or the passphrase is too weak.
        ConfigInvalid: The file exists or cannot be written.
    """
    check_new_passphrase(passphrase)
    check_outside(path, home, "recovery_file")
    recovery = RecoveryKey.generate(partner)
    write_new_private(path, recovery.lock(passphrase))
    sync_directory(path.parent)
    return recovery.public


def open_recovery_file(path: Path, passphrase: str) -> RecoveryKey:
    """Unlock a recovery key.

    Raises:
        ConfigInvalid: Missing, open to others, or no recovery key.
        PassphraseWrong: It does not open with this passphrase.
    """
    data = read_private(path, MAX_RECOVERY_BYTES, missing="there is no such recovery key")
    return RecoveryKey.unlock(data, passphrase)


def recover_home(
    opened: OpenedHome,
    recovery: RecoveryKey,
    *,
    codec: Codec,
    now_ms: int,
    above: int = 0,
    new_passphrase: str | None = None,
) -> RecoveredHome:
    """Give a stopped home new keys and a card that the recovery key signs; the old keys count nowhere any more.

    Args:
        above: The greatest number of a card that partners hold, when a thief has published some.
        new_passphrase: Locks the keyring from now on, instead of the one that unlocked it.

    Raises:
        ConfigInvalid: The recovery key is not this gateway's, or profile or directory cannot be used.
        FieldInvalid: The number is out of range, or the new passphrase is too weak.
    """
    if new_passphrase is not None:
        check_new_passphrase(new_passphrase)
    if not 0 <= above <= MAX_ABOVE:
        raise FieldInvalid("above", f"must be 0 to {MAX_ABOVE}")
    config = opened.config
    profile = load_profiles(config.partners_dir).get(config.partner)
    if profile is None:
        raise ConfigInvalid(f"{config.partners_dir} has no profile of '{config.partner}'")
    keyring = opened.keyring.recover(now_ms, host_names(config.endpoints, config.listen))
    keyring, card = recover_card(
        keyring, profile, config.endpoints, recovery=recovery, above=above, codec=codec, now_ms=now_ms
    )
    verify_first_card(card, codec)
    if new_passphrase is None:
        opened.save(keyring)
    else:
        save_keyring(opened.home, keyring, new_passphrase)
    # If we die here, systems are refused until the command is run again: each run makes the next card.
    written = write_certificates(
        opened.certificates, keyring, config.partner, [system.name for system in config.system], now_ms
    )
    return RecoveredHome(
        card=card,
        sequence=keyring.card_sequence,
        fingerprint=fingerprint(keyring.identity.verify_key.public),
        certificates=written,
    )


def warnings_about_keyring(keyring: Keyring) -> tuple[str, ...]:
    """Return what is still to be done about a keyring, in sentences."""
    if keyring.former_tls is None:
        return ()
    warning = (
        "links still show the TLS certificate from before the recovery: once every partner has the new card "
        "(`concord partner test`), run `concord partner rotate tls`"
    )
    return (warning,)
