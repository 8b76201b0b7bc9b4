"""One alert to a hundred partners: from its submit to the last of a hundred committed receipts.

The sender is a real gateway process; the partners are tests.bench.fanout_partners. `python -m tests.bench.fanout`
measures it alone.
"""

import base64
import contextlib
import shutil
import statistics
from itertools import product
from pathlib import Path

from concord.v1 import admin_service_pb2, partner_pb2

from gateway.cli.admin import AdminClient
from gateway.crypto.cards import fingerprint
from tests.bench.exchange import AUTHORITY, NO_LIMITS, SENDER, TIMEOUT_S, bench_folder, client_of
from tests.bench.outbox import OutboxWatch
from tests.bench.processes import Worker
from tests.fixtures.gateways import GatewayProcess

CODES = tuple(first + second for first, second in product("abcdefghij", "qrstuvwxyz"))
"""A hundred codes. Which states they name does not matter here; the sender's is not among them."""
_PROFILE = """\
partner = "{code}"
time_zone = "Asia/Bangkok"
languages = ["en"]
desk = []
[names]
en = "Bench {code}"
[[authority]]
id = "{authority}"
names = {{ en = "Early warning" }}
[[agreement]]
id = "bench"
partners = {partners}
kinds = ["alert"]
authorities = ["{authority}"]
purposes = ["public_warning"]
legal_bases = ["voluntary"]
modes = ["exercise"]
default_lifetime_hours = 24
retention_days = 365
release = "system"
"""


def fanout_s(alerts: int) -> list[float]:
    """Return how many seconds each of so many alerts took; the links are open before the first."""
    folder = bench_folder("fanout")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        profiles = _write_profiles(folder / "partners")
        gateway = GatewayProcess(
            SENDER, folder / SENDER, environment={**NO_LIMITS, "CONCORD_PARTNERS_DIR": str(profiles)}
        )
        gateway.init()
        stack.callback(gateway.kill)
        gateway.start()
        admin = stack.enter_context(AdminClient(gateway.home))
        card = folder / "sender.card"
        card.write_bytes(admin.own_card().card.SerializeToString())
        partners = stack.enter_context(
            Worker("tests.bench.fanout_partners", "--card", str(card), "--partners-dir", str(profiles))
        )
        for one in partners.ready["cards"]:
            signed = partner_pb2.SignedCard.FromString(base64.b64decode(one["card"]))
            words = fingerprint(bytes.fromhex(one["identity"]))
            admin.add_partner(admin_service_pb2.AddPartnerRequest(card=signed, fingerprint=words))
        client = stack.enter_context(client_of(gateway))
        watch = stack.enter_context(OutboxWatch(gateway.home))
        times = [_one(client, watch) for _ in range(alerts + 1)]
    return times[1:]


def _one(client: Worker, watch: OutboxWatch) -> float:
    last_id = watch.last_id()
    client.ask("prepare", count=1, recipients=CODES)
    submitted_ns = client.ask("paced", pause_s=0)["submitted_ns"][0]
    done_ns = watch.wait_empty(TIMEOUT_S)
    if watch.received(last_id) != len(CODES):
        raise RuntimeError(f"{watch.received(last_id)} of {len(CODES)} partners received the alert")
    return (done_ns - submitted_ns) / 1e9


def _write_profiles(folder: Path) -> Path:
    folder.mkdir()
    for code in (SENDER, *CODES):
        authority = AUTHORITY if code == SENDER else f"{code}/early-warning"
        others = list(CODES) if code == SENDER else [SENDER]
        text = _PROFILE.format(code=code, authority=authority, partners=str(others).replace("'", '"'))
        (folder / f"{code}.toml").write_text(text)
    return folder


def main() -> None:
    """Measure the fan-out alone."""
    times = fanout_s(5)
    print("fan-out to 100, s:", [round(one, 3) for one in times], "median", round(statistics.median(times), 3))


if __name__ == "__main__":
    main()
