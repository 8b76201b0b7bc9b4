"""The play of the demo: what happens between three gateways, in order, with what was measured."""

import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import delivery
from gateway.cli.call import Call
from gateway.cli.demo_chain import LIFETIME, play_chain
from gateway.cli.demo_gateways import Deadline, Nation, incomplete
from gateway.cli.failure import ExitCode, usage
from gateway.cli.output import Output, visible
from gateway.cli.runnable import on_home, program
from gateway.cli.views import id_text

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import MessageView

    from gateway.crypto.cards import VerifiedCard

EXAMPLE: Final = "mekong-typhoon.xml"
DEADLINE_S: Final = 90.0
"""Takes about ten seconds on two cores; past this something is broken, and waiting on would hide it."""
SENDER: Final = "cn"
LANGUAGE_NAMES: Final = {"zh": "Chinese", "th": "Thai", "lo": "Lao"}


@dataclass(slots=True)
class Scenario:
    """The play: what happens, in order, with what was measured."""

    output: Output
    place: Path
    deadline: Deadline
    nations: list[Nation] = field(default_factory=list)
    cards: "dict[str, VerifiedCard]" = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    rungs: list[dict[str, Any]] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)
    message_id: str = ""
    handed_in: float = 0.0
    """When the alert was: every line after it is told from there, by one clock."""

    @property
    def sender(self) -> Nation:
        """Who sends."""
        return next(nation for nation in self.nations if nation.code == SENDER)

    @property
    def receivers(self) -> list[Nation]:
        """Who receives."""
        return [nation for nation in self.nations if nation.code != SENDER]

    @property
    def ok(self) -> bool:
        """Whether there were checks and all hold."""
        return bool(self.checks) and all(self.checks.values())

    def play(self) -> None:
        """Play it through.

        Raises:
            Failure: Something did not happen in time, or did not hold.
        """
        self.nations = [
            Nation(code, language, self.place / code) for code, language in (("cn", "zh"), ("th", "th"), ("la", "lo"))
        ]
        self.make_homes()
        self.start()
        self.pair()
        original = example_file().read_bytes()
        sent = self.send(original)
        seen = self.show_received(sent)
        self.acknowledge(sent)
        play_chain(self, original, sent.message_id)
        self.measured["story_s"] = round(self.since_ms() / 1000, 3)
        self.verify(original, sent, seen)
        self.sum_up()
        self.measured["total_s"] = round(self.deadline.elapsed_s, 3)

    def since_ms(self) -> float:
        """Return milliseconds since the alert was handed in."""
        return (time.monotonic() - self.handed_in) * 1000

    def say(self, line: str = "", **data: Any) -> None:
        """Tell people a line, and programs an event."""
        self.output.text(visible(line))
        if data:
            self.output.record(data)

    def make_homes(self) -> None:
        """Make keys and settings of three gateways."""
        from gateway.clock import SystemClock

        self.say("Three gateways, no hub: China (cn), Thailand (th), Laos (la).")
        self.say("Loopback only; all is marked EXERCISE.")
        self.say(f"Homes, cards and logs are in {self.place}")
        self.say()
        self.place.mkdir(parents=True, exist_ok=True)
        for nation in self.nations:
            nation.make(SystemClock().now_ms())
            self.say(
                f"{self._at()}  {nation.code}  keys made, keyring locked, certificate issued",
                event="home_made",
                partner=nation.code,
                home=str(nation.home),
            )
        self.measured["homes_s"] = round(self.deadline.elapsed_s, 3)

    def start(self) -> None:
        """Start three processes and wait until all answer."""
        before = self.deadline.elapsed_s
        for nation in self.nations:
            nation.start()
        for nation in self.nations:
            self.deadline.wait_for(f"the gateway of '{nation.code}' answering on its socket", nation.is_up)
            process = nation.process.pid if nation.process else 0
            self.say(
                f"{self._at()}  {nation.code}  up: partners at {nation.federation}, own systems at {nation.exchange}",
                event="up",
                partner=nation.code,
                pid=process,
                federation=nation.federation,
                exchange=nation.exchange,
            )
        self.measured["start_s"] = round(self.deadline.elapsed_s - before, 3)

    def pair(self) -> None:
        """Exchange cards by file and compare fingerprints, as people do by voice."""
        from concord.v1 import admin_service_pb2 as pb

        from gateway.cli.card_file import format_card_file
        from gateway.cli.partner import fingerprint_of, read_card

        before = self.deadline.elapsed_s
        self.say()
        self.say("Cards go as files; each is added only after its fingerprint is compared aloud:")
        for nation in self.nations:
            own = nation.admin.own_card()
            text = format_card_file(
                own.card.SerializeToString(), partner=nation.code, sequence=1, fingerprint=own.fingerprint
            )
            nation.card_file.write_text(text, encoding="ascii")
        for nation in self.nations:
            signed, verified = read_card(nation.card_file)
            self.cards[nation.code] = verified
            if fingerprint_of(verified) != nation.fingerprint:
                raise incomplete(f"the card of '{nation.code}' has another fingerprint than its keyring")
            others = [other for other in self.nations if other is not nation]
            for other in others:
                other.admin.add_partner(pb.AddPartnerRequest(card=signed, fingerprint=nation.fingerprint))
            names = ", ".join(other.code for other in others)
            self.say(
                f"{self._at()}  {nation.code}  {nation.fingerprint}  added by {names}",
                event="paired",
                partner=nation.code,
                fingerprint=nation.fingerprint,
                card=str(nation.card_file),
            )
        self.measured["pairing_s"] = round(self.deadline.elapsed_s - before, 3)

    def send(self, original: bytes) -> "MessageView":
        """Send the alert and show each rung of evidence as it comes."""
        from gateway.cli.connectors import load_connector
        from gateway.cli.send import Wishes, make_draft, submit
        from gateway.clock import SystemClock

        reading = load_connector("cap").read(original, SystemClock().now_ms())
        languages = " ".join(info.language for info in reading.alert.infos)
        targets = " and ".join(nation.code for nation in self.receivers)
        wishes = Wishes(to=",".join(nation.code for nation in self.receivers), expires=LIFETIME)
        draft = make_draft(Call(self.sender.home, Output(as_json=False)), reading, wishes)
        self.say()
        self.say(f"{SENDER} sends {EXAMPLE} ({len(original)} bytes; {languages}) to {targets} as {draft.urgency.name}:")
        self.handed_in = time.monotonic()
        accepted, _ = submit(self.sender.admin, draft, "")
        took_ms = self.since_ms()
        self.message_id = id_text(accepted.message_id)
        self.measured["submit_ms"] = round(took_ms, 1)
        self.rung(SENDER, "submitted", took_ms, "checked, released, signed, sealed for both, on disk")
        states: dict[str, str] = {}
        view = None
        for rung in delivery.follow(self.sender.admin, accepted.message_id, timeout_s=self.deadline.left_s):
            view, item = rung.view, rung.delivery
            states[item.partner] = item.state
            meaning = delivery.MEANINGS.get(item.state, item.state)
            self.rung(item.partner, item.state, self.since_ms(), meaning, item.reason)
        if view is None or delivery.exit_code_of_states(states) is not ExitCode.OK:
            missing = ", ".join(f"{n.code}: {states.get(n.code, 'nothing')}" for n in self.receivers)
            raise incomplete(f"the alert was not received by all ({missing})")
        self.measured["received_ms"] = {
            rung["partner"]: rung["after_ms"] for rung in self.rungs if rung["rung"] in delivery.ARRIVED
        }
        return view

    def show_received(self, sent: "MessageView") -> "dict[str, MessageView]":
        """Show the alert as each receiver's people see it."""
        from gateway.cli.inbox import find, headline, received

        seen: dict[str, MessageView] = {}
        for nation in self.receivers:

            def look(nation: Nation = nation) -> "MessageView | None":
                return next((view for view in received(nation.admin, 20) if view.message_id == sent.message_id), None)

            self.deadline.wait_for(f"the alert in the inbox of '{nation.code}'", look)
            view = find(nation.admin, id_text(sent.message_id))
            seen[nation.code] = view
            line = headline(view, nation.language)
            self.say()
            self.say(
                f"What {nation.code} sees, in {LANGUAGE_NAMES[nation.language]}, from {view.body.authority}, EXERCISE:",
                event="seen",
                partner=nation.code,
                language=nation.language,
                headline=line,
            )
            self.say(f"    {line}")
        return seen

    def acknowledge(self, sent: "MessageView") -> None:
        """Let each receiver's national system take the alert over, which comes back as one more signed rung."""
        from gateway.cli.demo_systems import acknowledge

        self.say()
        self.say("Each receiver's own warning system takes it over; that comes back signed too:")
        for nation in self.receivers:
            acknowledge(nation, SENDER, sent.message_id)
        waiting = {nation.code for nation in self.receivers}

        def look() -> bool | None:
            for item in self.sender.admin.delivery(sent.message_id).message.deliveries:
                if item.partner in waiting and item.state == "acknowledged":
                    waiting.discard(item.partner)
                    self.rung(item.partner, item.state, self.since_ms(), delivery.MEANINGS[item.state])
            return None if waiting else True

        self.deadline.wait_for("the signed acknowledgements of all systems", look)
        self.checks["acknowledged"] = True

    def verify(self, original: bytes, sent: "MessageView", seen: "dict[str, MessageView]") -> None:
        """Check everything from the evidence."""
        from gateway.cli.demo_checks import CHECK_WORDS, log_is_sound, run_checks
        from gateway.clock import SystemClock

        held = run_checks(
            original=original,
            commitment=sent.content_commitment,
            sent=sent,
            seen=seen,
            cards=self.cards,
            now_ms=SystemClock().now_ms(),
        )
        sound = [log_is_sound(nation.admin, self.cards[nation.code], sent.message_id) for nation in self.nations]
        self.checks = {**held, **self.checks, "logs_sound": all(sound)}
        self.say()
        self.say("Verified from the evidence itself:")
        for name, holds in self.checks.items():
            self.say(f"  {'ok    ' if holds else 'FAILED'}  {CHECK_WORDS[name]}", event="check", name=name, ok=holds)
        if not self.ok:
            raise incomplete(f"does not hold: {', '.join(name for name, holds in self.checks.items() if not holds)}")

    def rung(self, partner: str, name: str, after_ms: float, words: str, reason: str = "") -> None:
        """Note and show a rung of the ladder of evidence."""
        item = {"partner": partner, "rung": name, "after_ms": round(after_ms, 1)}
        self.rungs.append(item)
        why = f" ({reason})" if reason else ""
        self.say(f"  {clock(after_ms)}  {partner}  {words}{why}", event="rung", **item)

    def step(self, words: str, *, partner: str, **data: Any) -> None:
        """Show what was seen at a partner, at its time."""
        self.say(f"  {clock(self.since_ms())}  {partner}  {words}", partner=partner, **data)

    def summary(self) -> dict[str, Any]:
        """Return what was measured and checked."""
        return {
            "ok": self.ok,
            "partners": [nation.code for nation in self.nations],
            "alert": EXAMPLE,
            "message_id": self.message_id,
            "checks": self.checks,
            "ladder": self.rungs,
            **self.measured,
        }

    def say_what_next(self) -> None:
        """Say what to try while the gateways stay up."""
        here = Path.cwd()
        example = example_file()
        file = example.relative_to(here) if example.is_relative_to(here) else example
        shown, folder = shlex.quote(str(file)), shlex.quote(str(file.parent))
        self.say()
        self.say("Everything stays up until Ctrl-C. In another terminal, in this directory, try:")
        self.say(f"  export DEMO={shlex.quote(str(self.place))}")
        for words, code in (
            ("status", "cn"),
            (f"inbox show {self.message_id} --language lo", "la"),
            (f"send alert {shown} --to th --expires 6h --dry-run", "cn"),
            (f"send alert {shown} --to th,la --expires 6h --wait", "cn"),
            ("partner test th", "cn"),
            ("partner freeze cn", "la"),
            ("outbox", "cn"),
            (f"log search --message {self.message_id}", "la"),
            ("log check", "th"),
            (f"alert check {folder}", ""),
        ):
            short = f"{program()} {words}" + (f' --home "$DEMO"/{code}' if code else "")
            whole = on_home(words, self.place / code) if code else f"{program()} {words}"
            self.say(f"  {short}", event="try", command=whole)

    def sum_up(self) -> None:
        """Say what has been shown."""
        receivers = " and ".join(nation.code for nation in self.receivers)
        for line in (
            "",
            f"Shown: an alert went from {SENDER} to {receivers}, sealed so that only they can read it;",
            f"was taken over, updated and cancelled within {self.measured['story_s']:.1f} s; and left evidence that",
            f"holds in all {len(self.checks)} checks. There is no hub, and no gateway had to be believed.",
        ):
            self.say(line)

    def _at(self) -> str:
        return f"{self.deadline.elapsed_s:6.1f} s"


def clock(after_ms: float) -> str:
    """Return a time since the alert was handed in."""
    return f"+{after_ms:7.1f} ms" if after_ms < 10_000 else f"+{after_ms / 1000:8.2f} s"


def example_file() -> Path:
    """Return the alert that the demo sends: in the installed package, else in the source tree.

    Raises:
        Failure: It is in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "data" / "examples" / "alerts", package.parent / "examples" / "alerts"):
        if (directory / EXAMPLE).is_file():
            return directory / EXAMPLE
    raise usage(f"the example {EXAMPLE} is not installed", reason="NOT_FOUND")
