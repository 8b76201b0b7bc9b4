"""The demo as a newcomer runs it: real processes, real links, everything verified, nothing left behind."""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gateway.cli import demo as demo_command
from gateway.cli import demo_gateways, main
from gateway.cli.demo_gateways import Deadline, Nation, free_ports
from gateway.cli.demo_scenario import example_file
from gateway.cli.failure import ExitCode, Failure
from gateway.clock import SystemClock, to_datetime

CONCORD = [sys.executable, "-m", "gateway.cli"]
CHECKS = {
    "receipts_verified",
    "receipts_name_one_envelope",
    "bodies_identical",
    "originals_identical",
    "all_languages_arrived",
    "marked_exercise",
    "logs_sound",
    "acknowledged",
    "updated",
    "cancelled",
}
pytestmark = pytest.mark.timeout(200)


def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
    # Settings of whoever runs the demo must not reach its gateways.
    return {**kept, "TMPDIR": str(tmp_path), "CONCORD_MODE": "actual", "CONCORD_PARTNER": "vn"}


@pytest.fixture
def short_path():
    """A folder whose name leaves room for a socket's: the runner's own may be too long."""
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as folder:
        yield Path(folder)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_one_run_verifies_everything_and_leaves_nothing(short_path):
    ran = subprocess.run(
        [*CONCORD, "demo", "--once"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment(short_path),
        cwd=short_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["ok"] is True
    assert summary["checks"] == dict.fromkeys(CHECKS, True)
    assert summary["stopped_cleanly"] is True
    assert set(summary["received_ms"]) == {"th", "la"}
    ladder = [(rung["partner"], rung["rung"]) for rung in summary["ladder"]]
    for partner in ("th", "la"):
        assert ladder.index((partner, "received")) < ladder.index((partner, "acknowledged"))
    assert ladder[0] == ("cn", "submitted")
    assert "น้ำท่วม" in ran.stdout
    assert list(short_path.iterdir()) == []


class Running:
    """A demo that stays up, and the commands it proposes."""

    def __init__(self, tmp_path):
        self.place = tmp_path
        self.process = subprocess.Popen(
            [*CONCORD, "--json", "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
            cwd=tmp_path,
        )
        self.events = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if " alert check " in self.events[-1].get("command", ""):
                break
        self.homes = {event["partner"]: event["home"] for event in self.events if event["event"] == "home_made"}
        self.pids = [event["pid"] for event in self.events if event["event"] == "up"]

    def concord(self, at, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(["--json", "--home", self.homes[at], *arguments])
        return code, [json.loads(line) for line in out.getvalue().splitlines()]

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    started = Running(Path(tempfile.mkdtemp(prefix="c-", dir="/tmp")))
    yield started
    if started.process.returncode is None:
        started.stop()


def test_proposed_commands_work_as_they_stand(running, capsys):
    for event in running.events:
        if event.get("event") != "try" or " freeze " in event["command"]:
            continue
        program, *words = shlex.split(event["command"])
        assert program == "concord" or os.access(running.place / program, os.X_OK)
        # The examples hold files that are to be refused.
        assert main(words) == (3 if words[:2] == ["alert", "check"] else 0), words
        assert capsys.readouterr().out


def test_frozen_partner_is_sent_nothing_until_it_is_thawed(running):
    wanted = ("send", "alert", str(example_file()), "--to", "la", "--wait")
    assert running.concord("cn", "partner", "freeze", "la")[0] == 0
    code, (answer,) = running.concord("cn", *wanted)
    assert (code, answer["error"]["reason"]) == (3, "PARTNER_FROZEN")
    (queue,) = [queue for queue in running.concord("cn", "outbox")[1] if queue["partner"] == "la"]
    assert queue["link_state"] == "frozen"
    assert running.concord("cn", "partner", "freeze", "la", "--thaw")[0] == 0
    code, (answer,) = running.concord("cn", *wanted)
    assert (code, answer["complete"]) == (0, True)


def test_link_is_proved_up_to_a_sealed_ping_and_its_receipt(running):
    code, (answer,) = running.concord("th", "partner", "test", "la")
    assert (code, answer["passed"]) == (0, True)
    assert "ping" in answer["steps"][-1]["name"]
    code, (answer,) = running.concord("th", "partner", "test", "vn")
    assert (code, answer["error"]["reason"]) == (3, "PARTNER_UNKNOWN")


def test_rotated_key_is_taken_over_by_partners_without_new_pairing(running):
    assert running.concord("la", "partner", "rotate", "seal")[0] == 0
    wanted = ("send", "alert", str(example_file()), "--to", "la", "--wait")
    code, (answer,) = running.concord("cn", *wanted)
    assert (code, answer["complete"]) == (0, True)


def test_partner_without_agreement_or_card_is_refused_with_the_reason(running):
    example = str(example_file())
    code, (answer,) = running.concord("cn", "send", "alert", example, "--to", "vn")
    assert (code, answer["error"]["reason"]) == (3, "PARTNER_UNKNOWN")
    code, (answer,) = running.concord("cn", "send", "alert", example, "--to", "th", "--as", "cn/public-security")
    assert (code, answer["error"]["reason"]) == (3, "POLICY_DENIED")
    assert answer["error"]["details"]["rule_ids"]


def test_actual_alert_never_leaves_an_exercise_gateway(running):
    actual = str(example_file().with_name("dam-release.xml"))
    code, (answer,) = running.concord("cn", "send", "alert", actual, "--to", "th")
    assert (code, answer["error"]["reason"]) == (3, "POLICY_DENIED")
    assert answer["error"]["details"]["rule_ids"] == ["safeguard/b6-mode"]


def test_request_repeated_gives_the_same_message_and_another_draft_is_refused(running):
    example = str(example_file())
    expires = to_datetime(SystemClock().now_ms() + 3_600_000).isoformat()
    fixed = ("--request-id", "01a00000-0000-7000-8000-000000000001", "--expires", expires)
    wanted = ("send", "alert", example, "--to", "th", *fixed)
    (first,), (second,) = (running.concord("cn", *wanted)[1] for _ in range(2))
    assert first["message_id"] == second["message_id"]
    code, (other,) = running.concord("cn", *wanted, "--urgency", "U3")
    assert (code, other["error"]["reason"]) == (1, "REQUEST_ID_REUSED")


def test_second_gateway_on_the_same_home_does_not_start(running):
    home = Path(running.homes["cn"])
    command = [*CONCORD, "--json", "--home", str(home), "up", "--passphrase-file", f"{home}.passphrase"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode != 0
    assert running.concord("cn", "status")[0] == 0


def test_polite_kill_stops_the_gateways_and_removes_the_homes(running):
    assert all(alive(pid) for pid in running.pids)
    assert running.stop() == 0
    assert not any(alive(pid) for pid in running.pids)
    assert not any(Path(home).exists() for home in running.homes.values())


@pytest.fixture
def quick_homes(monkeypatch):
    """Leave out the keys, which take a second each and are not what these tests are about."""
    monkeypatch.setattr(Nation, "make", lambda self, now_ms: self.home.mkdir())


def run_with(monkeypatch, capsys, script, deadline_s=90.0, stop_s=5.0):
    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", script], stdout=log, stderr=log)

    monkeypatch.setattr(Nation, "start", start)
    monkeypatch.setattr(demo_command, "DEADLINE_S", deadline_s)
    monkeypatch.setattr(demo_gateways, "STOP_S", stop_s)
    code = main(["demo", "--once"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out.splitlines()[-1]), captured.err


def test_gateway_that_ends_is_named_with_the_end_of_its_log(monkeypatch, capsys, quick_homes):
    script = "import sys; print('the disk is on fire'); sys.exit(7)"
    code, summary, told = run_with(monkeypatch, capsys, script)
    assert code == ExitCode.REFUSED
    assert summary["ok"] is False
    assert summary["error"]["reason"] == "DEMO_INCOMPLETE"
    assert "'cn' ended with code 7" in summary["error"]["why"]
    assert "the disk is on fire" in told


def test_gateway_that_never_answers_is_given_up_and_killed(monkeypatch, capsys, quick_homes):
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    code, summary, _ = run_with(monkeypatch, capsys, script, deadline_s=0.3, stop_s=0.2)
    assert code == ExitCode.REFUSED
    assert "'cn' answering" in summary["error"]["why"]
    assert time.monotonic() - start < 30


def test_directory_that_holds_homes_already_is_left_alone(tmp_path, capsys):
    (tmp_path / "cn").mkdir()
    (tmp_path / "cn" / "precious").touch()
    assert main(["demo", "--once", "--dir", str(tmp_path)]) == 1
    assert (tmp_path / "cn" / "precious").exists()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] is False


def test_deadline_says_what_was_missing():
    with pytest.raises(Failure) as caught:
        Deadline(0.0).wait_for("the moon", lambda: None)
    assert caught.value.reason == "DEMO_INCOMPLETE"
    assert "the moon" in caught.value.why


def test_free_ports_differ():
    assert len(set(free_ports(6))) == 6
