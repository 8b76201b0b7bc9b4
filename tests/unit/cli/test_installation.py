"""Homes: made whole or not at all, opened only with the passphrase, closed to others."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from gateway.crypto.certificates import pem_to_der, verify_gateway_chain, verify_system_chain
from gateway.crypto.keyring import Keyring
from gateway.errors import ConfigInvalid, FieldInvalid, PassphraseWrong, StateConflict
from gateway.ids import AuthorityId, PartnerId
from gateway.installation import Plan, create_home, open_home
from gateway.installation import home as installation_home
from gateway.installation.passphrases import find_passphrase, generate_passphrase_file
from gateway.installation.private_files import read_private
from gateway.model.header import Mode

NOW = 1_795_000_000_000
PASSPHRASE = "correct horse battery"
PLAN = Plan(
    partner=PartnerId("th"),
    mode=Mode.EXERCISE,
    federation="127.0.0.1:7001",
    exchange="127.0.0.1:7002",
    endpoints=("gateway.example:7443",),
    systems=(("early-warning", (AuthorityId("th/ddpm"),)),),
    authority=AuthorityId("th/ddpm"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # scrypt takes a second on purpose, so one home serves the module; tests that change it copy it.
    home = tmp_path_factory.mktemp("h") / "th"
    return create_home(home, PLAN, PASSPHRASE, NOW)


@pytest.fixture(scope="module")
def opened(made):
    return open_home(made.home, PASSPHRASE)


@pytest.fixture
def unlocked(opened, monkeypatch):
    """Replace only the slow unlocking."""
    monkeypatch.setattr(Keyring, "unlock", lambda data, passphrase: opened.keyring)


@pytest.fixture
def home(made, tmp_path):
    return Path(shutil.copytree(made.home, tmp_path / "th"))


@pytest.fixture
def quick(monkeypatch):
    """Replace only the slow lock; everything else is real."""
    monkeypatch.setattr(Keyring, "lock", lambda self, passphrase: b"locked")


def modes(home):
    return {
        str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*") if path.is_file()
    }


def test_home_holds_what_was_planned_and_is_closed_to_others(made):
    assert stat.S_IMODE(made.home.stat().st_mode) == 0o700
    assert modes(made.home) == {
        "concord.toml": 0o600,
        "keyring.age": 0o600,
        "certs/authority.pem": 0o644,
        "certs/gateway.pem": 0o644,
        "certs/system-early-warning.pem": 0o644,
        "certs/system-early-warning.key.pem": 0o600,
    }
    assert len(made.fingerprint.replace(" ", "")) == 40


def test_certificates_name_gateway_and_system_under_the_home_s_own_authority(made):
    certificates = made.certificates
    roots = [pem_to_der((certificates / "authority.pem").read_bytes())]
    assert verify_gateway_chain((certificates / "gateway.pem").read_bytes(), [], roots, NOW) == PartnerId("th")
    system = (certificates / "system-early-warning.pem").read_bytes()
    assert verify_system_chain(system, [], roots, NOW) == (PartnerId("th"), "early-warning")


def test_home_opens_with_its_passphrase(made, opened):
    assert opened.config.partner == opened.keyring.partner == PartnerId("th")
    assert opened.config.mode is Mode.EXERCISE
    assert opened.config.endpoints == ("gateway.example:7443",)
    assert opened.config.authorities_of("early-warning") == {AuthorityId("th/ddpm")}
    assert opened.admin_socket == made.home / "admin.sock"
    assert PASSPHRASE not in repr(opened)


def test_wrong_passphrase_is_refused(made):
    with pytest.raises(PassphraseWrong):
        open_home(made.home, PASSPHRASE + "!")


def test_no_private_key_lies_in_a_home_unlocked_but_the_system_s_own(made):
    for path in made.home.rglob("*"):
        if path.is_file() and not path.name.startswith("system-"):
            assert b"PRIVATE KEY" not in path.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"age-encryption.org/v1\n", b"x" * 100])
def test_damaged_keyring_is_refused(home, damage):
    (home / "keyring.age").write_bytes(damage)
    with pytest.raises((PassphraseWrong, ConfigInvalid)):
        open_home(home, PASSPHRASE)


def test_home_without_keyring_was_never_finished(home):
    (home / "keyring.age").unlink()
    with pytest.raises(ConfigInvalid) as caught:
        open_home(home, PASSPHRASE)
    assert "never finished" in caught.value.text


def test_keyring_of_another_partner_is_refused(home, unlocked):
    settings = home / "concord.toml"
    settings.write_text('partner = "la"\nmode = "exercise"\n')
    with pytest.raises(ConfigInvalid) as caught:
        open_home(home, PASSPHRASE)
    assert "'th'" in caught.value.text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o700])
def test_keyring_that_others_can_read_is_refused(home, mode):
    (home / "keyring.age").chmod(mode)
    with pytest.raises(ConfigInvalid) as caught:
        open_home(home, PASSPHRASE)
    assert f"{mode:04o}" in caught.value.text


def test_saved_keyring_replaces_the_file_whole(home, unlocked, monkeypatch):
    opened = open_home(home, PASSPHRASE)
    monkeypatch.setattr(Keyring, "lock", lambda self, passphrase: b"other" if passphrase == PASSPHRASE else b"wrong")
    opened.save(opened.keyring)
    assert (home / "keyring.age").read_bytes() == b"other"
    assert stat.S_IMODE((home / "keyring.age").stat().st_mode) == 0o600
    assert not list(home.glob(".*"))


def test_home_that_is_there_is_never_overwritten(home):
    before = (home / "concord.toml").read_bytes()
    with pytest.raises(StateConflict):
        create_home(home, PLAN, PASSPHRASE, NOW)
    assert (home / "concord.toml").read_bytes() == before


def test_empty_directory_is_taken_and_closed(tmp_path, quick):
    home = tmp_path / "empty"
    home.mkdir(mode=0o755)
    create_home(home, PLAN, PASSPHRASE, NOW)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("failing", range(1, 7))
@pytest.mark.parametrize("existed", [True, False])
def test_failure_half_way_takes_everything_back(tmp_path, monkeypatch, quick, failing, existed):
    home = tmp_path / "th"
    if existed:
        home.mkdir()
    write, calls = installation_home.write_private, []

    def write_or_fail(path, *arguments):
        calls.append(path)
        if len(calls) == failing:
            raise OSError(28, "No space left on device", str(path))
        write(path, *arguments)

    monkeypatch.setattr(installation_home, "write_private", write_or_fail)
    with pytest.raises(ConfigInvalid) as caught:
        create_home(home, PLAN, PASSPHRASE, NOW)
    assert "No space left" in caught.value.text
    assert list(tmp_path.iterdir()) == ([home] if existed else [])
    assert not existed or list(home.iterdir()) == []


def test_interrupt_half_way_takes_everything_back(tmp_path, monkeypatch):
    def interrupted(self, passphrase):
        raise KeyboardInterrupt

    monkeypatch.setattr(Keyring, "lock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create_home(tmp_path / "th", PLAN, PASSPHRASE, NOW)
    assert list(tmp_path.iterdir()) == []


def test_path_too_long_for_a_socket_is_refused_at_once(tmp_path, quick):
    home = tmp_path / ("x" * 120)
    with pytest.raises(ConfigInvalid) as caught:
        create_home(home, PLAN, PASSPHRASE, NOW)
    assert "too long" in caught.value.text
    assert not home.exists()


@pytest.mark.parametrize("weak", ["", "short", "aaaaaaaaaaaaaaaaaa", "abababababababab"])
def test_weak_passphrase_is_refused(tmp_path, weak):
    with pytest.raises(FieldInvalid) as caught:
        create_home(tmp_path / "th", PLAN, weak, NOW)
    assert caught.value.field == "passphrase"
    assert not weak or weak not in caught.value.text


def words(**changed):
    plan = {
        "partner": "cn",
        "mode": "exercise",
        "federation": "127.0.0.1:1",
        "exchange": "127.0.0.1:2",
        "endpoints": [],
        "systems": [],
        "authority": "",
    }
    return Plan.parse(**{**plan, **changed})


def test_plan_is_completed_from_the_profile():
    plan = words()
    assert plan.authority is not None
    assert plan.authority.partner == PartnerId("cn")
    (name, authorities), *more = plan.systems
    assert not more
    assert plan.authority in authorities
    assert name


def test_plan_for_a_partner_without_profile_has_no_authority_and_no_system():
    plan = words(partner="zz")
    assert (plan.authority, plan.systems) == (None, ())


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"partner": "China"}, "partner"),
        ({"mode": "real"}, "mode"),
        ({"federation": "nowhere"}, "listen_federation"),
        ({"exchange": "nowhere"}, "listen_exchange"),
        ({"endpoints": ["nowhere"]}, "public"),
        ({"federation": "0.0.0.0:7443"}, "public"),
        ({"systems": ["early-warning"]}, "system"),
        ({"systems": ["early-warning=th/ddpm"]}, "system"),
        ({"systems": ["Early Warning=cn/x"]}, "system.name"),
        ({"authority": "th/ddpm"}, "authority"),
        ({"authority": "ddpm"}, "authority"),
    ],
)
def test_wrong_word_is_refused_and_named(changed, field):
    with pytest.raises(FieldInvalid) as caught:
        words(**changed)
    assert caught.value.field == field


def secret(path: Path, text: bytes = b"correct horse battery\n", mode: int = 0o600) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_passphrase_comes_from_systemd_first_then_the_file_then_the_variable(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    credential = secret(credentials / "concord-passphrase", b"from systemd", 0o440)
    file = secret(tmp_path / "file", b"from the file\n")
    variable = secret(tmp_path / "variable", b"from the variable\r\n", 0o400)
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "CONCORD_PASSPHRASE_FILE": str(variable)}
    assert find_passphrase(file, environ) == "from systemd"
    credential.unlink()
    assert find_passphrase(file, environ) == "from the file"
    assert find_passphrase(None, environ) == "from the variable"
    assert find_passphrase(None, {}) is None


def test_passphrase_is_never_taken_from_a_variable_itself():
    assert find_passphrase(None, {"CONCORD_PASSPHRASE": "correct horse battery"}) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700])
def test_passphrase_file_open_to_others_is_refused(tmp_path, mode):
    with pytest.raises(ConfigInvalid) as caught:
        find_passphrase(secret(tmp_path / "file", mode=mode), {})
    assert f"{mode:04o}" in caught.value.text


@pytest.mark.parametrize("text", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"nul\x00", b"x" * 2000])
def test_passphrase_file_with_something_else_in_it_is_refused(tmp_path, text):
    with pytest.raises(ConfigInvalid):
        find_passphrase(secret(tmp_path / "file", text), {})


def test_missing_passphrase_file_is_refused(tmp_path):
    with pytest.raises(ConfigInvalid):
        find_passphrase(tmp_path / "nowhere", {})


def test_secret_is_not_read_from_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        with pytest.raises(ConfigInvalid):
            read_private(pipe, 100, missing="")
    finally:
        os.close(writer)


def test_generated_passphrase_is_strong_written_once_and_closed_to_others(tmp_path):
    path = tmp_path / "p"
    passphrase = generate_passphrase_file(path)
    assert len(passphrase) >= 39
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert find_passphrase(path, {}) == passphrase
    with pytest.raises(ConfigInvalid):
        generate_passphrase_file(path)
    assert find_passphrase(path, {}) == passphrase


def test_generated_passphrase_never_follows_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigInvalid):
        generate_passphrase_file(tmp_path / "link")
    assert not (tmp_path / "target").exists()
