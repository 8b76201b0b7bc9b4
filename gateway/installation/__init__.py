"""Makes and opens the home of a gateway: settings, keyring, certificates, and the passphrase that unlocks them."""

from gateway.installation.home import CreatedHome, OpenedHome, Plan, create_home, open_home, warnings_about
from gateway.installation.passphrases import check_new_passphrase, find_passphrase, generate_passphrase_file

__all__ = [
    "CreatedHome",
    "OpenedHome",
    "Plan",
    "check_new_passphrase",
    "create_home",
    "find_passphrase",
    "generate_passphrase_file",
    "open_home",
    "warnings_about",
]
