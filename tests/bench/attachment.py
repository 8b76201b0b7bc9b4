"""How fast a file goes from one gateway to another, against the same bytes over a bare stream."""

import asyncio
import shutil
import statistics
import time
from pathlib import Path
from typing import Final

from gateway.client import Client
from tests.bench.attachment_floor import fetched_s
from tests.bench.certificates import make_certificates
from tests.bench.exchange import bench_folder
from tests.bench.processes import Worker
from tests.fixtures.file_gateways import client, file_gateways, sent, write_file

LIMIT_S: Final = 600.0
POLL_S: Final = 0.01


def rates(size_bytes: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return MiB a second by round: the bare stream, from draft to the verified file at the recipient, and uploads."""
    folder = bench_folder("attachment")
    floor, carried, uploads = [], [], []
    mib = size_bytes / (1 << 20)
    try:
        make_certificates(folder, ("server", "client"))
        write_file(folder / "source", size_bytes)
        with (
            Worker("tests.bench.attachment_floor", "--folder", str(folder)) as server,
            file_gateways(folder / "gateways") as (th, la),
            client(th) as at_th,
            client(la) as at_la,
        ):
            for _ in range(rounds):
                floor.append(mib / asyncio.run(fetched_s(folder, int(server.ready["port"]))))
                uploaded_s, carried_s = _carried_s(at_th, at_la, folder / "source")
                uploads.append(mib / uploaded_s)
                carried.append(mib / carried_s)
    finally:
        shutil.rmtree(folder)
    return floor, carried, uploads


def _carried_s(at_th: Client, at_la: Client, source: Path) -> tuple[float, float]:
    began = time.monotonic()
    attachment = at_th.upload(source, "application/octet-stream")
    uploaded = time.monotonic()
    accepted = sent(at_th, attachment)
    for watched in at_la.watch():
        if watched.message_id == accepted.message_id:
            break
    while at_la.attachments(accepted.message_id, sender="th")[0].state != "stored":
        if time.monotonic() - uploaded > LIMIT_S:
            raise RuntimeError("the file did not arrive")
        time.sleep(POLL_S)
    return uploaded - began, time.monotonic() - uploaded


def figures(size_bytes: int, rounds: int) -> tuple[dict[str, float], str]:
    """Return the figures of the bench and what to say beside them."""
    floor, carried, uploads = rates(size_bytes, rounds)
    found = {
        "attachment_floor.mib_per_s": statistics.median(floor),
        "attachment.mib_per_s": statistics.median(carried),
        "attachment_upload.mib_per_s": statistics.median(uploads),
    }
    found["attachment.ratio_to_floor"] = found["attachment.mib_per_s"] / found["attachment_floor.mib_per_s"]
    said = ", ".join(f"{one:.0f}/{two:.0f}" for one, two in zip(floor, carried, strict=True))
    return found, f"floor/carried by round: {said} MiB/s"
