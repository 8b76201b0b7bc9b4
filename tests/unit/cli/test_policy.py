"""concord policy: check, try, explain, diff, replay."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli import main, policy
from gateway.policy.catalogue import words_for
from gateway.policy.cedar import safeguards

ROOT = Path(__file__).parents[3]
PARTNERS, FACTS = ROOT / "partners", ROOT / "examples" / "facts"


@pytest.fixture(autouse=True)
def _no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("CONCORD_HOME", str(tmp_path / "nowhere"))


def run(capsys, *arguments):
    code = main(["policy", *map(str, arguments), "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def tried(capsys, name, *arguments):
    code, (said,) = run(capsys, "try", FACTS / name, "--partners", PARTNERS, *arguments)
    return code, said


@pytest.fixture
def changed_partners(tmp_path):
    """The shipped profiles, in which Thailand wants two approvals of requests and names no preservation."""
    folder = tmp_path / "partners"
    shutil.copytree(PARTNERS, folder)
    text = (folder / "th.toml").read_text(encoding="utf-8")
    request = text.index("[agreement.terms.request]")
    changed = text[request:].replace("approvals = 1", "approvals = 2").replace('"preserve", ', "")
    (folder / "th.toml").write_text(text[:request] + changed, encoding="utf-8")
    return folder


def test_check_says_what_is_in_force(capsys):
    code, (said,) = run(capsys, "check", "--partners", PARTNERS)
    assert code == 0
    assert said["rules"] == {"deny": 9, "hold": 12, "warn": 5}
    agreements = {item["id"]: item for item in said["agreements"]}
    assert agreements["lm-assistance"]["rules"] == ["agreement/lm-assistance/asset-measures-need-a-treaty"]
    assert agreements["lm-consular"]["partners"] == ["cn", "kh", "la", "mm", "th", "vn"]
    assert said["warnings"] == []


def test_check_names_what_only_one_side_lists(capsys, changed_partners):
    text = (changed_partners / "la.toml").read_text(encoding="utf-8")
    (changed_partners / "la.toml").write_text(text.replace('id = "lm-consular"', 'id = "lm-consul"'), encoding="utf-8")
    (changed_partners / "vn.toml").unlink()
    code, (said,) = run(capsys, "check", "--partners", changed_partners)
    assert code == 0
    assert "th lists lm-consular with la, which does not list it with th" in said["warnings"]
    assert "th lists lm-early-warning with vn, which has no profile here" in said["warnings"]


def test_check_refuses_conditions_that_permit(capsys, changed_partners):
    file = changed_partners / "th.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("\nforbid (", "\npermit ("), encoding="utf-8")
    code, (said,) = run(capsys, "check", "--partners", changed_partners)
    assert code == 1
    assert said["error"]["reason"] == "CONFIG_INVALID"
    assert "th.toml" in said["error"]["message"]
    assert "permits" in said["error"]["message"]


@pytest.mark.parametrize(
    ("name", "code", "verdict", "rules"),
    [
        ("request-preserve.json", 0, "allow", ["agreement/in-force"]),
        ("referral-rescue.json", 0, "allow", ["agreement/in-force"]),
        ("request-death-penalty.json", 3, "hold", ["hold/h1-death-penalty"]),
        ("request-political.json", 3, "deny", ["safeguard/b1-excluded-matter"]),
        ("request-everybody.json", 3, "deny", ["safeguard/b8-mass-selectors"]),
        ("answer-protected.json", 3, "deny", ["safeguard/b2-protected-person"]),
    ],
)
def test_try_decides_on_the_examples(capsys, name, code, verdict, rules):
    got, said = tried(capsys, name)
    assert (got, said["verdict"]) == (code, verdict)
    assert [told["rule"] for told in said["rules"]] == rules


def test_every_example_is_tried():
    assert len(list(FACTS.glob("*.json"))) == 6


def test_try_names_who_must_decide_and_carries_warnings(capsys):
    _, held = tried(capsys, "request-death-penalty.json")
    assert held["needs"] == [
        {"rule": "hold/h1-death-penalty", "roles": ["approver", "duty_lead"], "number": 2, "decided": 0}
    ]
    _, allowed = tried(capsys, "referral-rescue.json")
    assert [told["rule"] for told in allowed["warnings"]] == [
        "warning/w1-machine-translation", "warning/w3-single-source",
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["ar", "km", "vi"])
def test_try_gives_reasons_in_the_language_asked_for(capsys, language):
    _, said = tried(capsys, "request-political.json", "--lang", language)
    (told,) = said["rules"]
    words = words_for("safeguard/b1-excluded-matter", language)
    assert (told["what"], told["why"], told["do"]) == (words.what, words.why, words.remedy)


def test_try_of_an_alert(capsys):
    alert = ROOT / "examples" / "alerts" / "mekong-typhoon.xml"
    code, (said,) = run(capsys, "try", alert, "--partners", PARTNERS, "--from", "cn/foreign-affairs", "--to", "th")
    assert (code, said["verdict"]) == (0, "allow")
    code, (said,) = run(capsys, "try", alert, "--partners", PARTNERS, "--from", "cn/public-security", "--to", "th")
    assert (code, said["verdict"]) == (3, "deny")
    assert [told["rule"] for told in said["rules"]] == ["agreement/authority"]
    code, (said,) = run(capsys, "try", alert, "--partners", PARTNERS)
    assert (code, said["error"]["reason"]) == (1, "USAGE")


def test_try_of_an_alert_with_a_passport(capsys, tmp_path):
    text = (ROOT / "examples" / "alerts" / "mekong-typhoon.xml").read_text(encoding="utf-8")
    line = "P&lt;UTOERIKSSON&lt;&lt;ANNA&lt;MARIA" + "&lt;" * 19
    (tmp_path / "alert.xml").write_text(text.replace("<description>", f"<description>{line} ", 1), encoding="utf-8")
    code, (said,) = run(
        capsys, "try", tmp_path / "alert.xml", "--partners", PARTNERS, "--from", "cn/foreign-affairs", "--to", "th"
    )
    assert (code, [told["rule"] for told in said["rules"]]) == (3, ["safeguard/b5-personal-data"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "MESSAGE_MALFORMED"),
        ("{", "MESSAGE_MALFORMED"),
        ("{}", "FIELD_INVALID"),
        ('{"kind": "request"}', "FIELD_INVALID"),
        (" " * (1 << 20) + "{}", "MESSAGE_TOO_LARGE"),
        ("<alert/>", "USAGE"),
    ],
    ids=range(6),
)
def test_try_refuses_what_is_no_facts(capsys, tmp_path, text, reason):
    (tmp_path / "facts.json").write_text(text, encoding="utf-8")
    code, (said,) = run(capsys, "try", tmp_path / "facts.json", "--partners", PARTNERS)
    assert (code, said["error"]["reason"]) == (1, reason)


def test_try_says_whose_facts_are_missing_and_who_decides(capsys, tmp_path):
    facts = json.loads((FACTS / "request-preserve.json").read_text(encoding="utf-8"))
    del facts["sources"]
    (tmp_path / "less.json").write_text(json.dumps(facts), encoding="utf-8")
    code, (said,) = run(capsys, "try", tmp_path / "less.json", "--partners", PARTNERS)
    assert (code, said["explanation"]) == (3, "not established: sources")
    facts |= {"sources": 2, "direction": "use", "recipients": []}
    (tmp_path / "use.json").write_text(json.dumps(facts), encoding="utf-8")
    code, (said,) = run(capsys, "try", tmp_path / "use.json", "--partners", PARTNERS)
    assert (code, said["error"]["reason"]) == (1, "USAGE")
    code, (said,) = run(capsys, "try", tmp_path / "use.json", "--partners", PARTNERS, "--as", "cn")
    assert (code, said["verdict"]) == (0, "allow")


def test_unknown_language_home_and_partner_are_refused(capsys, tmp_path):
    for arguments in (
        ("try", FACTS / "request-preserve.json", "--lang", "tlh"),
        ("try", FACTS / "request-preserve.json", "--partners", PARTNERS, "--as", "zz"),
        ("try", FACTS / "request-preserve.json", "--partners", tmp_path),
        ("try", tmp_path / "none.json", "--partners", PARTNERS),
        ("check",),
        ("explain", "h99"),
        ("explain", "agreement/lm-assistance/nothing", "--partners", PARTNERS),
        ("replay", tmp_path / "none.jsonl", "--partners", PARTNERS),
    ):
        code, (said,) = run(capsys, *arguments)
        assert (code, set(said)) == (1, {"error"}), arguments


def test_explain_lists_every_rule_and_shows_each_as_it_is_written(capsys):
    code, rules = run(capsys, "explain")
    assert code == 0
    assert [said["rule"] for said in rules] == list(safeguards().rules)
    for rule in safeguards().rules:
        assert f'@id("{rule}")' in policy.text_of(rule)
        assert policy.text_of(rule).endswith(";")
    _, (said,) = run(capsys, "explain", "safeguard/b4-onward")
    assert said["text"] == policy.text_of("safeguard/b4-onward")
    assert said["what"] == words_for("safeguard/b4-onward").what
    _, (short,) = run(capsys, "explain", "h10", "--lang", "my")
    assert (short["rule"], short["what"]) == ("hold/h10-asylum", words_for("hold/h10-asylum", "my").what)
    assert short["needs"] == "2 of approver or duty_lead"


def test_explain_knows_agreements_and_their_conditions(capsys):
    _, (said,) = run(capsys, "explain", "agreement/measure")
    assert said["what"]
    rule = "agreement/lm-assistance/asset-measures-need-a-treaty"
    _, (said,) = run(capsys, "explain", rule, "--partners", PARTNERS)
    assert said["outcome"] == "forbids"
    assert "context.measures" in said["text"]


def test_diff_says_which_decisions_change(capsys, changed_partners):
    code, said = run(capsys, "diff", PARTNERS, PARTNERS, FACTS)
    assert (code, said) == (0, [])
    code, said = run(capsys, "diff", PARTNERS, changed_partners, FACTS)
    assert code == 0
    changes = {item["facts"]: (item["old"], item["new"]) for item in said}
    assert changes.keys() == {"request-preserve.json", "request-death-penalty.json"}
    old, new = changes["request-preserve.json"]
    assert (old["verdict"], new["verdict"], new["rules"]) == ("allow", "deny", ["agreement/measure"])
    _, new = changes["request-death-penalty.json"]
    assert new["rules"] == ["hold/h1-death-penalty", "agreement/release-officers"]


def test_replay_decides_again_on_what_was_kept(capsys, tmp_path, changed_partners):
    file = tmp_path / "kept.jsonl"
    for path in sorted(FACTS.glob("*.json")):
        tried(capsys, path.name, "--keep", file)
    code, said = run(capsys, "replay", file, "--partners", PARTNERS)
    assert (code, said) == (0, [{"decisions": 6, "changed": 0}])
    code, said = run(capsys, "replay", file, "--partners", changed_partners)
    assert [item["facts"] for item in said[:-1]] == ["kept.jsonl:3", "kept.jsonl:6"]
    assert said[-1] == {"decisions": 6, "changed": 2}
    code, said = run(capsys, "diff", PARTNERS, changed_partners, file)
    assert len(said) == 2


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"facts": {}, "verdict": "allow", "rules": []}', "\udce9", "3"])
def test_a_damaged_file_of_decisions_is_refused_by_line(capsys, tmp_path, line):
    file = tmp_path / "kept.jsonl"
    tried(capsys, "request-preserve.json", "--keep", file)
    with file.open("ab") as stream:
        stream.write(line.encode("utf-8", "surrogateescape") + b"\n")
    code, said = run(capsys, "replay", file, "--partners", PARTNERS)
    assert (code, said[-1]["error"]["reason"]) == (1, "MESSAGE_MALFORMED")
    assert "kept.jsonl:2" in said[-1]["error"]["message"]


def test_replay_says_plainly_that_nothing_is_kept(capsys):
    assert main(["policy", "replay"]) == 0
    assert "No decision is kept" in capsys.readouterr().out
    assert run(capsys, "replay") == (0, [{"decisions": 0, "changed": 0}])


def test_people_are_told_the_same(capsys, changed_partners):
    assert main(["policy", "try", str(FACTS / "request-death-penalty.json"), "--partners", str(PARTNERS)]) == 3
    text = capsys.readouterr().out
    for part in ("HOLD", "hold/h1-death-penalty", "2 of approver or duty_lead; 0 so far", "execution"):
        assert part in text
    assert main(["policy", "diff", str(PARTNERS), str(changed_partners), str(FACTS)]) == 0
    assert "2 of 6 decisions would change" in capsys.readouterr().out
    assert main(["policy", "check", "--partners", str(PARTNERS)]) == 0
    assert "9 that forbid" in capsys.readouterr().out
    assert main(["policy", "explain", "b4", "--lang", "fr"]) == 0
    assert "consentement" in capsys.readouterr().out
