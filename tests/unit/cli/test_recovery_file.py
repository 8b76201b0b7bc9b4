"""The recovery key's file: made outside the home, closed to others, taken back when the home is not made."""

import json
import stat

import pytest

from gateway.cli import main
from gateway.errors import ConfigInvalid, FieldInvalid, PassphraseWrong, StoreUnavailable
from gateway.ids import PartnerId
from gateway.installation import open_home
from gateway.installation.recovery import (
    MAX_ABOVE,
    check_outside,
    create_recovery_file,
    open_recovery_file,
    recover_home,
    warnings_about_keyring,
)
from gateway.rpc.convert import WireCodec
from gateway.store import keep_out
from tests.fixtures.killing_gateway import unstretched_passphrases

TH = PartnerId("th")
WORDS = "correct horse battery"
OTHER_WORDS = "staple correct horse"
NOW = 1_795_000_000_000


@pytest.fixture(autouse=True)
def quick():
    with unstretched_passphrases():
        yield


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "CONCORD_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, words in (("words", WORDS), ("other", OTHER_WORDS)):
        (tmp_path / name).write_text(words)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def init(place, capsys, *more):
    code = main(["--home", str(place / "th"), "init", "th", "--passphrase-file", str(place / "words"), "--json", *more])
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    return code, answer


def test_recovery_key_is_made_closed_to_others_and_the_card_will_name_it(place, capsys):
    code, answer = init(
        place, capsys, "--recovery-file", str(place / "key"), "--recovery-passphrase-file", str(place / "other")
    )
    assert (code, answer["recovery_file"]) == (0, str(place / "key"))
    assert stat.S_IMODE((place / "key").stat().st_mode) == 0o600
    recovery = open_recovery_file(place / "key", OTHER_WORDS)
    opened = open_home(place / "th", WORDS)
    assert (recovery.partner, recovery.public) == (TH, opened.keyring.recovery_public)
    assert recovery.key.export_secret() not in opened.keyring.to_bytes()


def test_passphrase_of_the_recovery_key_is_made_when_asked_for(place, capsys):
    words = ("--recovery-file", str(place / "key"), "--generate-recovery-passphrase-file", str(place / "made"))
    code, answer = init(place, capsys, *words)
    assert (code, answer["recovery_passphrase_file"]) == (0, str(place / "made"))
    assert stat.S_IMODE((place / "made").stat().st_mode) == 0o600
    assert open_recovery_file(place / "key", (place / "made").read_text().strip()).partner == TH


def test_home_without_recovery_key_says_so_and_what_that_means(place, capsys):
    code, answer = init(place, capsys)
    assert (code, answer["recovery_file"]) == (0, None)
    assert open_home(place / "th", WORDS).keyring.recovery_public is None
    assert main(["--home", str(place / "vn"), "init", "vn", "--passphrase-file", str(place / "words")]) == 0
    shown = capsys.readouterr().out
    assert "There is no recovery key" in shown
    assert "--recovery-file" in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--recovery-file", "th/key", "--recovery-passphrase-file", "other"], "FIELD_INVALID"),
        (["--recovery-file", "th/../th/key", "--recovery-passphrase-file", "other"], "FIELD_INVALID"),
        (["--recovery-file", "link/key", "--recovery-passphrase-file", "other"], "FIELD_INVALID"),
        (["--recovery-file", "key", "--generate-recovery-passphrase-file", "th/words"], "FIELD_INVALID"),
        (["--recovery-file", "key", "--recovery-passphrase-file", "words"], "USAGE"),
        (["--recovery-file", "key", "--recovery-passphrase-file", "weak"], "FIELD_INVALID"),
        (["--recovery-file", "key", "--recovery-passphrase-file", "nowhere"], "CONFIG_INVALID"),
        (["--recovery-file", "key"], "PASSPHRASE_MISSING"),
        (["--recovery-file", "taken", "--recovery-passphrase-file", "other"], "CONFIG_INVALID"),
        (["--recovery-file", "no/such/key", "--recovery-passphrase-file", "other"], "CONFIG_INVALID"),
        (["--recovery-passphrase-file", "other"], "USAGE"),
        (
            ["--recovery-file", "key", "--recovery-passphrase-file", "o", "--generate-recovery-passphrase-file", "p"],
            "USAGE",
        ),
    ],
)
def test_wish_that_is_refused_leaves_nothing_behind(place, capsys, words, reason):
    (place / "link").symlink_to(place / "th", target_is_directory=True)
    (place / "taken").write_text("something of mine")
    (place / "weak").write_text("short")
    (place / "weak").chmod(0o600)
    before = sorted(place.iterdir())
    code, answer = init(place, capsys, *(word if word.startswith("--") else str(place / word) for word in words))
    assert (code, answer["error"]["reason"]) == (1, reason)
    assert sorted(place.iterdir()) == before
    assert (place / "taken").read_text() == "something of mine"


def test_home_that_is_not_made_takes_the_recovery_key_back(place, capsys):
    (place / "th").mkdir()
    (place / "th" / "something").write_text("")
    code, answer = init(
        place, capsys, "--recovery-file", str(place / "key"), "--generate-recovery-passphrase-file", str(place / "made")
    )
    assert (code, answer["error"]["reason"]) == (1, "STATE_CONFLICT")
    assert not (place / "key").exists()
    assert not (place / "made").exists()


def test_place_that_only_begins_like_the_home_is_outside(place):
    check_outside(place / "th-key", place / "th", "recovery_file")
    with pytest.raises(FieldInvalid):
        check_outside(place / "th", place / "th", "recovery_file")


def test_recovery_key_that_others_can_read_is_refused(place):
    create_recovery_file(place / "key", place / "th", TH, OTHER_WORDS)
    (place / "key").chmod(0o640)
    with pytest.raises(ConfigInvalid):
        open_recovery_file(place / "key", OTHER_WORDS)
    with pytest.raises(ConfigInvalid):
        open_recovery_file(place / "nowhere", OTHER_WORDS)


@pytest.fixture
def home(place, capsys):
    init(place, capsys, "--recovery-file", str(place / "key"), "--recovery-passphrase-file", str(place / "other"))
    return place / "th"


def recover(place, home, **more):
    recovery = open_recovery_file(place / "key", OTHER_WORDS)
    return recover_home(open_home(home, WORDS), recovery, codec=WireCodec(), now_ms=NOW, **more)


def test_recovery_changes_the_keys_and_certificates_and_nothing_else(place, home):
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    done = recover(place, home)
    changed = {path for path, data in before.items() if path.read_bytes() != data}
    assert changed == {home / "keyring.age", *done.certificates}
    assert {path for path in home.rglob("*") if path.is_file()} == set(before)
    opened = open_home(home, WORDS)
    assert opened.keyring.recovered_card == done.card
    assert warnings_about_keyring(opened.keyring)
    assert not warnings_about_keyring(opened.keyring.rotate_tls(NOW))


def test_passphrase_that_the_thief_knows_is_replaced_on_the_way(place, home):
    recover(place, home, new_passphrase="entirely other words")
    assert open_home(home, "entirely other words").keyring.recovered_card is not None
    with pytest.raises(PassphraseWrong):
        open_home(home, WORDS)


def test_recovery_that_fails_leaves_the_old_keys(place, home):
    before = (home / "keyring.age").read_bytes()
    with pytest.raises(FieldInvalid):
        recover(place, home, above=MAX_ABOVE + 1)
    with pytest.raises(FieldInvalid):
        recover(place, home, new_passphrase="short")
    (place / "key").unlink()
    create_recovery_file(place / "key", home, TH, OTHER_WORDS)
    with pytest.raises(ConfigInvalid):
        recover(place, home)
    assert (home / "keyring.age").read_bytes() == before


def test_recovery_asks_before_it_revokes_and_keeps_a_running_gateway_out(place, home, capsys):
    words = [
        "--home", str(home), "--json", "partner", "recover", "--recovery-file", str(place / "key"),
        "--recovery-passphrase-file", str(place / "other"), "--passphrase-file", str(place / "words"),
    ]  # fmt: skip
    before = (home / "keyring.age").read_bytes()
    assert main(words) == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "USAGE"
    with keep_out(f"sqlite://{home / 'data'}"):
        assert main([*words, "--yes"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["reason"] == "STORE_UNAVAILABLE"
    assert (home / "keyring.age").read_bytes() == before
    assert main([*words, "--yes"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["partner"], answer["sequence"]) == ("th", 1)
    assert answer["card"].startswith("-----BEGIN CONCORD CARD-----")


def test_store_that_is_kept_out_of_is_free_again_afterwards(place):
    url = f"sqlite://{place / 'data'}"
    with keep_out(url), pytest.raises(StoreUnavailable), keep_out(url):
        pass
    with keep_out(url), keep_out("postgresql://nowhere/x"):
        pass
