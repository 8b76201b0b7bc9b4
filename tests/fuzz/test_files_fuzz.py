"""Bytes into every file that a gateway reads of its own: settings, profiles, keyring, recovery key, registry, headers.

They are an operator's, not an enemy's; but a disk that fails or an editor that slips must end in words, not in a trace.
"""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, load_config
from gateway.crypto.keyring import Keyring
from gateway.crypto.recovery import RecoveryKey
from gateway.ids import PartnerId
from gateway.installation.connectors import plan_connectors
from gateway.installation.otlp_headers import read_headers
from gateway.installation.passphrases import read_passphrase
from gateway.installation.private_files import read_bounded
from gateway.installation.registry import REGISTRY_FILE, IssuedCertificate, Registry
from gateway.profiles import load_profiles
from gateway.store import open_store
from tests.fuzz.changes import FUZZ, WILD, flips, neighbours, places_of, put, sprinkled, taken, taken_async, without

NOW = 1_795_000_000_000
TH = PartnerId("th")
SETTINGS = b"""\
partner = "th"
mode = "exercise"
store = "sqlite:///var/lib/concord"
partners_dir = "partners"
default_authority = "th/ddpm"
clock_offset_ms = 5

[listen]
federation = "[::]:7443"
exchange = "127.0.0.1:7444"
tokens = "127.0.0.1:7445"
reflection = true

[public]
endpoints = ["gateway.example:7443", "[2001:db8::1]:7443"]

[[system]]
name = "early-warning"
authorities = ["th/ddpm", "th/police"]

[[issuer]]
url = "https://login.th.example"
audience = "urn:concord:th"
jwks_file = "jwks.json"
require_certificate = false
[[issuer.principal]]
name = "adapter"
client_id = "a"
authorities = ["th/ddpm"]
scopes = ["concord.submit"]

[[connector]]
name = "feeds"
kind = "cap"
authorities = ["th/ddpm"]

[limits]
submit_per_s = 100

[telemetry]
otlp = "http://127.0.0.1:4317"
trace_ratio = 0.5
"""
PROFILE = (Path(__file__).parents[2] / "partners" / "cn.toml").read_bytes()
KEYRING = Keyring.generate(TH, NOW, recovery_public=bytes(range(32)))
RECOVERED = KEYRING.rotate_envelope(NOW + 1000, revoke=True).recover(NOW + 2000)
KEYRING_JSON = json.loads(RECOVERED.to_bytes())
HEADERS = b"# for the collector\nauthorization: Bearer abc\nx-tenant: th\n"
WORDS = b'[]{}="#\n.,_-'
PIECES = (
    *(b'"', b"'", b"\n[x]\n", b"[[", b"]]", b"a.b.c = 1\n", b"\x00", b"\xff", b"\\u0000", b"\\ud800", b"1979-05-27"),
    *(
        b"inf",
        b"nan",
        b"-1",
        b"0x10",
        b"9" * 30,
        b"9" * 5000,
        b"[" * 300,
        b"true",
        b'""',
        b"{}",
        b"\n_env_file = '/'\n",
    ),
)


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch):
    for name in Config.model_fields:
        monkeypatch.delenv(f"CONCORD_{name.upper()}", raising=False)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Each reads bytes as the file of its name."""
    home = tmp_path_factory.mktemp("home")

    def written(name: str, data: bytes) -> Path:
        path = home / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    def settings(data):
        written("concord.toml", data)
        load_config(home)

    def profile(data):
        load_profiles(written("profiles/cn.toml", data).parent)

    def registry(data):
        Registry(written(REGISTRY_FILE, data).parent, CONFIG)

    def headers(data):
        read_headers(written("headers", data))

    def passphrase(data):
        read_passphrase(written("passphrase", data))

    return {
        "settings": settings, "profile": profile, "registry": registry, "headers": headers, "passphrase": passphrase,
        "keyring": Keyring.from_bytes, "recovery": RecoveryKey.from_bytes,
    }  # fmt: skip


CONFIG = Config(
    partner="th", mode="exercise", store="sqlite:///x", system=[{"name": "national", "authorities": ["th/ddpm"]}]
)


def registry_seed(folder: Path) -> bytes:
    registry = Registry(folder, CONFIG)
    certificate = IssuedCertificate("ab" * 32, NOW)
    registry.add("system", "flood", (next(iter(CONFIG.system[0].authorities)),), certificate)
    registry.add("auditor", "court", (), certificate)
    registry.remove("system", "national")
    return (folder / REGISTRY_FILE).read_bytes()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return {
        "settings": SETTINGS, "profile": PROFILE, "registry": registry_seed(tmp_path_factory.mktemp("seed")),
        "headers": HEADERS, "passphrase": b"correct horse battery staple\n", "keyring": RECOVERED.to_bytes(),
        "recovery": RecoveryKey.generate(TH).to_bytes(),
    }  # fmt: skip


NAMES = ("settings", "profile", "registry", "headers", "passphrase", "keyring", "recovery")
ONE_EACH = pytest.mark.parametrize("name", NAMES)


@ONE_EACH
def test_every_byte_of_a_file(readers, seeds, name):
    read, seed = readers[name], seeds[name]
    assert taken(read, seed)
    # Keys in base64 fill a keyring, and what a profile says repeats.
    step = max(1, len(seed) // 120)
    for changed in flips(seed, range(0, len(seed), step)):
        taken(read, changed)
    for changed in neighbours(seed, range(0, len(seed), 5 * step)):
        taken(read, changed)


@ONE_EACH
@FUZZ(max_examples=25)
@given(data=st.data())
def test_sprinkled_files(readers, seeds, name, data):
    seed = seeds[name]
    taken(readers[name], data.draw(sprinkled(seed)))
    at = data.draw(st.integers(0, len(seed)))
    taken(readers[name], seed[:at] + data.draw(st.sampled_from(PIECES)) + seed[at:])
    taken(readers[name], data.draw(st.binary(max_size=100)))


@ONE_EACH
@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00", b"\xef\xbb\xbf", b"[" * 100_000, b"{" * 100_000, b'{"a":' * 50_000, b"a = " + b"[" * 50_000,
        b"a." * 120_000 + b"a = 1", b"listen." + b"a." * 190 + b"a = 1", b"a = " + b"9" * 5000, b"9" * 5000,
        b"null", b"[]", b"{}", b'""', b"NaN", b"1e999", b"a = 2026-11-23T10:00:00.999999999Z\n", b"x" * 300_000,
        b"a = {" + b"a = {" * 20_000, b"partner = 'th'\nmode = 'test'\n__init__ = 1\n", b"self = 1\n",
    ],
    ids=range(22),
)  # fmt: skip
def test_bombs_and_blanks_as_a_file(readers, name, data):
    taken(readers[name], data)


@pytest.mark.parametrize(
    "value", [b'"\\u0000"', b"9" * 5000, b"[]", b"{}", b"nan", b"1979-05-27", b'"' + b"a" * 5000 + b'"']
)
def test_each_setting_with_each_wild_value(readers, value):
    lines = SETTINGS.split(b"\n")
    for place, line in enumerate(lines):
        if b" = " in line:
            changed = [*lines[:place], line.partition(b" = ")[0] + b" = " + value, *lines[place + 1 :]]
            taken(readers["settings"], b"\n".join(changed))
    for place, line in enumerate(PROFILE.split(b"\n")):
        if b" = " in line:
            rows = PROFILE.split(b"\n")
            rows[place] = line.partition(b" = ")[0] + b" = " + value
            taken(readers["profile"], b"\n".join(rows))


JSON_SEEDS = {"keyring": KEYRING_JSON, "recovery": None, "registry": None}


@pytest.mark.parametrize("name", JSON_SEEDS)
@FUZZ(max_examples=60)
@given(data=st.data())
def test_wild_json(readers, seeds, name, data):
    seed = json.loads(seeds[name])
    path = data.draw(st.sampled_from(list(places_of(seed))))
    bent = put(seed, path, data.draw(WILD)) if not path or data.draw(st.integers(0, 4)) else without(seed, path)
    taken(readers[name], json.dumps(bent).encode())


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400, -1, 2**70, True, "5", None])
def test_each_number_of_a_file_as_another(readers, seeds, number):
    for name in JSON_SEEDS:
        seed = json.loads(seeds[name])
        for path in places_of(seed):
            taken(readers[name], json.dumps(put(seed, path, number)).encode())


# --- what the settings name, and the lock around a keyring -------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "sqlite:", "sqlite://", "sqlite://host/x", "sqlite:///", "sqlite:///a%00b", "sqlite://[", "\x00",
        "http://[::1", "postgresql://h:x/d", "postgresql://[::1/d", "postgresql:", "mysql://h/d", "postgresql+psycopg://h/d",
        "\ud800",
    ],
)  # fmt: skip
def test_urls_that_name_no_store(url):
    assert not asyncio.run(taken_async(open_store, url))


def test_names_that_no_file_has():
    for read in (load_profiles, read_headers, read_passphrase):
        assert not taken(read, Path("/tmp/a\x00b"))
    assert not taken(lambda path: read_bounded(path, 10), Path("a\x00b"))


def test_a_locked_keyring_cut_or_changed_is_refused():
    """The head is read before the passphrase is tried, which takes a second: all of the one, little of the other."""
    locked = RecoveryKey.generate(TH).lock("correct horse battery")
    assert locked.startswith(b"age-encryption.org/v1\n-> scrypt ")
    head = locked.index(b"\n", 40)
    changed = [locked[:length] for length in range(0, head, 3)]
    changed += [locked[:at] + bytes([byte]) + locked[at + 1 :] for at in range(28) for byte in (0x00, 0x0A, 0xFF)]
    # A cost that would take a day and all memory is not tried.
    words = locked[:head].split(b" ")
    for cost in (b"30", b"63", b"64", b"-1", b"99999999999999999999", b""):
        changed.append(b" ".join([*words[:-1], cost]) + locked[head:])
    changed = [data for data in changed if data != locked]
    for data in (*changed, b"", b"\x00" * 100):
        for unlock in (Keyring.unlock, RecoveryKey.unlock):
            assert not taken(lambda data, unlock=unlock: unlock(data, "correct horse battery"), data)
    assert not taken(lambda data: RecoveryKey.unlock(data, "correct horse battery"), locked[:-1])
    # Another file under the same lock.
    assert not taken(lambda data: Keyring.unlock(data, "correct horse battery"), locked)


@pytest.mark.parametrize("kind", ["cap", "rest"])
@FUZZ(max_examples=40)
@given(data=st.data())
def test_wild_options_of_a_connector(tmp_path_factory, kind, data):
    names = st.sampled_from(
        ("source", "listen", "folder", "findings", "show", "in", "out", "poll_s", "feed", "url", "x")
    )
    options = data.draw(st.dictionaries(names, WILD, max_size=4))
    with contextlib.suppress(ValueError):
        # Names and kinds are checked with the settings; what is left are the options.
        config = Config(
            partner="th", mode="exercise", store="sqlite:///x",
            connector=[{"name": "feeds", "kind": kind, "authorities": ["th/ddpm"], **options}],
        )  # fmt: skip
        taken(lambda config: plan_connectors(Path("/nonexistent"), config), config)
