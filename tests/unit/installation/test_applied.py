"""A policy counts by the word of two operators, and no other way."""

import base64
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import load_config
from gateway.crypto.keys import SignKey
from gateway.crypto.operators import OperatorKey
from gateway.errors import ConfigInvalid, FieldInvalid, PassphraseWrong, PolicyNotApplied, StateConflict
from gateway.ids import PartnerId
from gateway.installation.applied import (
    apply,
    check_applied,
    check_name,
    create_operator,
    name_operator,
    open_operator,
    read_operators,
    read_state,
)
from gateway.policy.applied import Entry, Operator, Policy, sign, verify_chain
from tests.fixtures.applying import operators
from tests.fixtures.killing_gateway import unstretched_passphrases

ROOT = Path(__file__).parents[3]
NOW = 1_795_000_000_000
WORDS = "correct horse battery"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home in mode exercise with profiles of its own."""
    for name in ("MODE", "PARTNER", "PARTNERS_DIR"):
        monkeypatch.delenv(f"CONCORD_{name}", raising=False)
    made = tmp_path / "th"
    made.mkdir()
    shutil.copytree(ROOT / "partners", tmp_path / "partners")
    write(made)
    return made


def write(home: Path, mode: str = "exercise") -> None:
    text = f'partner = "th"\nmode = "{mode}"\npartners_dir = "{home.parent / "partners"}"\n'
    (home / "concord.toml").write_text(text, encoding="utf-8")


def change(home: Path, name: str = "th.toml") -> None:
    path = home.parent / "partners" / name
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


def put(home: Path, *keys: OperatorKey, now_ms: int = NOW):
    for key in keys:
        state = apply(home, load_config(home), key, now_ms)
    return state


def start(home: Path):
    return check_applied(home, load_config(home))


def refused(home: Path) -> str:
    with pytest.raises(PolicyNotApplied) as caught:
        start(home)
    return caught.value.text


def test_a_home_without_operators_starts_except_in_mode_actual(home):
    assert start(home) is None
    write(home, "actual")
    assert "mode actual" in refused(home)


@pytest.mark.parametrize("mode", ["exercise", "test", "actual"])
def test_what_two_operators_have_applied_counts_in_every_mode(home, mode):
    write(home, mode)
    first, second = operators(home, "first", "second")
    assert "two operators" in refused(home)
    waiting = put(home, first)
    assert waiting.applied is None
    assert waiting.pending is not None
    assert "two operators" in refused(home)
    state = put(home, second)
    assert state.pending is None
    entry = start(home)
    assert entry == state.applied
    assert [word.operator.name for word in entry.signed] == ["first", "second"]
    assert entry.policy.digest == read_state(home, load_config(home)).now.digest
    assert not (home / "policy" / "pending.json").exists()


def test_one_operator_twice_is_one_and_one_alone_is_not_enough(home):
    (only,) = operators(home, "first")
    with pytest.raises(PolicyNotApplied):
        put(home, only)
    operators(home, "second")
    put(home, only)
    with pytest.raises(StateConflict):
        put(home, only)
    refused(home)


def test_a_stranger_and_a_borrowed_name_are_refused(home):
    operators(home, "first", "second")
    for name in ("third", "first"):
        with pytest.raises(PolicyNotApplied):
            put(home, OperatorKey.generate(name))
    refused(home)


@pytest.mark.parametrize(
    ("touch", "told"),
    [
        (change, "partners/th.toml has changed"),
        (lambda home: (home.parent / "partners" / "la.toml").unlink(), "partners/la.toml is gone"),
        (
            lambda home: shutil.copy(home.parent / "partners" / "la.toml", home.parent / "partners" / "aa.toml"),
            "partners/aa.toml is new",
        ),
        (lambda home: operators(home, "third"), "'third' is a new operator"),
        (lambda home: (home / "operators.toml").unlink(), "'first' is no operator any more"),
    ],
)
def test_drift_refuses_start_and_says_what_differs(home, touch, told):
    put(home, *operators(home, "first", "second"))
    touch(home)
    assert told in refused(home)


def test_changed_rules_that_ship_are_drift(home, monkeypatch):
    put(home, *operators(home, "first", "second"))
    monkeypatch.setattr("gateway.installation.applied.safeguard_text", lambda name: "// nothing forbidden\n")
    assert "safeguards/blocks.cedar has changed" in refused(home)


def test_a_change_counts_when_two_have_applied_it_and_going_back_does_too(home):
    first, second = operators(home, "first", "second")
    put(home, first, second)
    before = start(home)
    change(home)
    put(home, second, first, now_ms=NOW + 1)
    assert start(home).policy.digest != before.policy.digest
    path = home.parent / "partners" / "th.toml"
    shutil.copy(ROOT / "partners" / "th.toml", path)
    refused(home)
    put(home, first, second, now_ms=NOW + 2)
    assert start(home).policy == before.policy
    with pytest.raises(StateConflict):
        put(home, first)


def test_a_word_for_other_files_does_not_count(home):
    first, second = operators(home, "first", "second")
    put(home, first)
    change(home)
    state = put(home, second)
    assert state.applied is None
    assert [word.operator.name for word in state.pending.signed] == ["second"]
    put(home, first)
    start(home)


def test_nobody_makes_operators_alone(home):
    first, second = operators(home, "first", "second")
    put(home, first, second)
    (third,) = operators(home, "third")
    with pytest.raises(PolicyNotApplied):
        put(home, third)
    put(home, first)
    with pytest.raises(PolicyNotApplied):
        put(home, third)
    put(home, second)
    change(home)
    # From here on the third is one of them.
    put(home, third, first)
    assert [word.operator.name for word in start(home).signed] == ["third", "first"]


def test_words_are_not_moved_to_another_policy_time_or_gateway(home):
    first, second = operators(home, "first", "second")
    put(home, first, second)
    chain = home / "policy" / "applied.jsonl"
    good = json.loads(chain.read_bytes())
    changes = [
        {"files": {**good["files"], "partners/th.toml": "00" * 32}},
        {"previous": "00" * 32},
        {"partner": "la"},
        {"operators": [*good["operators"], {**good["operators"][0], "name": "ghost"}]},
        {"signed": good["signed"][:1]},
        {"signed": [good["signed"][0], good["signed"][0]]},
        {"signed": [good["signed"][0], {**good["signed"][1], "time_ms": 1}]},
        {"signed": [good["signed"][0], {**good["signed"][1], "signature": good["signed"][0]["signature"]}]},
        {"signed": [good["signed"][0], {**good["signed"][1], "name": "first"}]},
        {"signed": [good["signed"][0], {**good["signed"][1], "key": "AAAA" * 10 + "AAA="}]},
        {"signed": [good["signed"][0], {**good["signed"][1], "time_ms": 10**30}]},
        {"signed": [good["signed"][0], {**good["signed"][1], "time_ms": -1}]},
        {"signed": None},
        {"files": []},
    ]
    for bad in changes:
        chain.write_text(json.dumps({**good, **bad}) + "\n", encoding="utf-8")
        refused(home)
    for data in (b"", b"{", b"\xff\n", b"[]\n", b"null\n", b"[" * 50_000):
        chain.write_bytes(data)
        refused(home)
    chain.write_text(json.dumps(good) + "\n", encoding="utf-8")
    start(home)
    chain.write_text(2 * (json.dumps(good) + "\n"), encoding="utf-8")
    refused(home)
    chain.unlink()
    refused(home)


def test_a_forged_pending_word_is_refused(home):
    first, second = operators(home, "first", "second")
    put(home, first)
    pending = home / "policy" / "pending.json"
    forged = json.loads(pending.read_bytes())
    stranger = OperatorKey("first", SignKey.generate())
    config = load_config(home)
    word = sign(stranger, read_state(home, config).now, b"", NOW)
    forged["signed"][0]["signature"] = base64.b64encode(word.signature).decode()
    pending.write_text(json.dumps(forged), encoding="utf-8")
    with pytest.raises(PolicyNotApplied):
        put(home, second)
    refused(home)


def test_a_chain_starts_with_two_of_its_own_operators():
    keys = [OperatorKey.generate(name) for name in ("first", "second")]
    th = PartnerId("th")
    policy = Policy(partner=th, files=(("a", b"1" * 32),), operators=tuple(Operator(k.name, k.public) for k in keys))
    whole = Entry(policy=policy, previous=b"", signed=tuple(sign(key, policy, b"", NOW) for key in keys))
    assert verify_chain((), th) is None
    assert verify_chain((whole,), th) is whole
    for bad in (
        replace(whole, signed=whole.signed[:1]),
        replace(whole, previous=b"1" * 32),
        replace(whole, policy=replace(policy, operators=policy.operators[:1])),
        replace(whole, policy=replace(policy, files=())),
    ):
        with pytest.raises(PolicyNotApplied):
            verify_chain((bad,), th)
    with pytest.raises(PolicyNotApplied):
        verify_chain((whole,), PartnerId("la"))


@settings(max_examples=100, deadline=None)
@given(
    one=st.dictionaries(st.text(max_size=5), st.binary(min_size=32, max_size=32), max_size=3),
    other=st.dictionaries(st.text(max_size=5), st.binary(min_size=32, max_size=32), max_size=3),
)
def test_different_policies_have_different_digests(one, other):
    def digest(files):
        return Policy(partner=PartnerId("th"), files=tuple(sorted(files.items())), operators=()).digest

    assert (digest(one) == digest(other)) is (one == other)


# --- operators and their keys ----------------------------------------------------------------------------------------


def test_an_operators_key_lies_outside_the_home_and_opens_with_its_passphrase(home, tmp_path):
    with unstretched_passphrases():
        made = create_operator(tmp_path / "first.key", home, "first", WORDS)
        key = open_operator(tmp_path / "first.key", WORDS)
        assert (key.name, key.public) == (made.name, made.public)
        assert read_operators(home) == (made,)
        assert (tmp_path / "first.key").stat().st_mode & 0o777 == 0o600
        with pytest.raises(PassphraseWrong):
            open_operator(tmp_path / "first.key", "another passphrase")
        with pytest.raises(FieldInvalid):
            create_operator(home / "inside.key", home, "second", WORDS)
        with pytest.raises(FieldInvalid):
            create_operator(tmp_path / "weak.key", home, "second", "short")
        with pytest.raises(StateConflict):
            create_operator(tmp_path / "again.key", home, "first", WORDS)
        with pytest.raises(ConfigInvalid):
            create_operator(tmp_path / "first.key", home, "second", WORDS)
        assert not (tmp_path / "again.key").exists()
        (tmp_path / "first.key").chmod(0o644)
        with pytest.raises(ConfigInvalid):
            open_operator(tmp_path / "first.key", WORDS)


def test_an_operators_key_shows_no_secret():
    key = OperatorKey.generate("first")
    assert key.key.export_secret().hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize("name", ["", "A", "a b", "é", "a" * 65, 'a"', "a\n"])
def test_names_that_would_be_misread_are_refused(name):
    with pytest.raises(FieldInvalid):
        check_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "x", "operator = 3", "[[operator]]\nname = 'a'", "[[operator]]\nname = 'a'\nkey = 'AA=='", "[extra]",
        "[[operator]]\nname = 'A'\nkey = '" + "A" * 43 + "='", "[[operator]]\nname = 'a'\nkey = 3",
        2 * ("[[operator]]\nname = 'a'\nkey = '" + "A" * 43 + "='\n"),
        33 * "[[operator]]\n", "#" * 70_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_a_file_that_is_no_list_of_operators_is_refused(home, text):
    (home / "operators.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid):
        start(home)


def test_a_key_is_named_once(home):
    (key,) = operators(home, "first")
    with pytest.raises(StateConflict):
        name_operator(home, Operator("second", key.public))
