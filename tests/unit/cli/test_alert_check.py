"""alert check: a verdict for every file, whatever is in it."""

import json
import os
from pathlib import Path

import pytest

from gateway.cli import alert, connectors, main

EXAMPLES = Path(__file__).parents[3] / "examples" / "alerts"
KEYS = {"file", "verdict", "reason", "detail", "findings", "identifier", "sender", "sent", "status", "version"}
KEYS.add("signature")


def check(capsys, *paths):
    code = main(["alert", "check", "--json", *map(str, paths)])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_file_gets_one_object_with_all_keys(capsys):
    code, verdicts = check(capsys, EXAMPLES)
    assert [Path(item["file"]) for item in verdicts] == sorted(EXAMPLES.rglob("*.xml"))
    assert all(set(item) == KEYS for item in verdicts)
    assert code == 3
    by_name = {Path(item["file"]).name: item for item in verdicts}
    assert by_name["mekong-typhoon.xml"]["verdict"] == "accepted"
    assert by_name["hostile-entity.xml"]["verdict"] == "refused"
    assert by_name["hostile-entity.xml"]["reason"]


def test_exit_code_is_0_when_none_is_refused(capsys):
    code, verdicts = check(capsys, EXAMPLES / "mekong-typhoon.xml", EXAMPLES / "scam-recruitment.xml")
    assert code == 0
    assert {item["verdict"] for item in verdicts} <= {"accepted", "accepted_with_findings"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe",
        b"<",
        b"<alert/>",
        b"{}",
        b"\x89PNG\r\n",
        b"<a>" * 5000,
        b"x" * 5_000_000,
        "<alert>\u202e</alert>".encode(),
    ],
)
def test_any_bytes_are_refused_with_a_reason(capsys, tmp_path, data):
    (tmp_path / "f").write_bytes(data)
    code, (verdict,) = check(capsys, tmp_path / "f")
    assert (code, verdict["verdict"]) == (3, "refused")
    assert verdict["reason"].startswith("cap.")


def test_every_alert_of_a_container_gets_an_object_and_a_feed_of_links_says_so(capsys, tmp_path):
    one = (EXAMPLES / "dam-release.xml").read_text().partition("?>")[2]
    (tmp_path / "a.atom").write_text(f"<feed><entry>{one}</entry><entry>{one}</entry></feed>")
    (tmp_path / "b.rss").write_text("<rss><channel><item><link>https://a.example/1</link></item></channel></rss>")
    code, verdicts = check(capsys, tmp_path)
    assert code == 0
    assert [(Path(item["file"]).name, item["verdict"]) for item in verdicts] == [
        ("a.atom#1", "accepted"),
        ("a.atom#2", "accepted"),
        ("b.rss", "accepted_with_findings"),
    ]
    assert all(set(item) == KEYS for item in verdicts)
    assert verdicts[2]["findings"][0]["code"] == "cap.feed_links"
    assert main(["alert", "check", str(tmp_path)]) == 0
    assert "2 files: 2 accepted, 1 accepted with findings, 0 refused" in capsys.readouterr().out


def test_file_that_cannot_be_read_does_not_hide_the_others(capsys, tmp_path):
    code, verdicts = check(capsys, tmp_path / "nowhere.xml", EXAMPLES / "mekong-typhoon.xml")
    assert code == 3
    assert [(item["verdict"], item["reason"]) for item in verdicts] == [
        ("refused", "file_unreadable"),
        ("accepted", ""),
    ]


def test_connector_that_fails_gives_a_verdict_too(capsys, monkeypatch):
    class Broken:
        def check_all(self, data, now_ms):
            raise RecursionError("canary-content")

    monkeypatch.setattr(connectors, "load_connector", lambda name: Broken())
    code, (verdict,) = check(capsys, EXAMPLES / "mekong-typhoon.xml")
    assert (code, verdict["verdict"], verdict["reason"]) == (3, "refused", "internal")
    assert "canary-content" not in json.dumps(verdict)


def test_links_in_directories_do_not_lead_in_circles(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "f.xml").touch()
    os.mkfifo(tmp_path / "a" / "pipe")
    assert list(alert.expand([tmp_path])) == [tmp_path / "a" / "f.xml"]


def test_name_that_is_not_utf8_is_shown_as_json(tmp_path, capsysbinary):
    (tmp_path / os.fsdecode(b"\xff.xml")).write_bytes(b"<x/>")
    assert main(["alert", "check", "--json", str(tmp_path)]) == 3
    assert json.loads(capsysbinary.readouterr().out)["file"].endswith("\udcff.xml")


def test_people_see_steering_characters_spelled_out(tmp_path, capsys):
    (tmp_path / "a\x1b[2J.xml").write_bytes(b"<x/>")
    assert main(["alert", "check", str(tmp_path)]) == 3
    assert "\x1b" not in capsys.readouterr().out


def test_connector_nobody_installed_is_named(capsys):
    assert main(["alert", "check", "--connector", "fax", "--json", str(EXAMPLES)]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "CONNECTOR_MISSING"
