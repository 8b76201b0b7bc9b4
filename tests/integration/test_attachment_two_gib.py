"""2 GiB from one gateway process to another: run by `make soak`; prints the memory of both."""

import contextlib
import hashlib
import time

import pytest

from gateway.errors import NotFound
from tests.fixtures.file_gateways import client, file_gateways, sent, write_file

SIZE = 2 << 30
MOST_MB = 96.0
"""What a gateway may grow by: chunks, pieces and gRPC's buffers of one file each way, and the allocator's slack."""
LIMIT_S = 3600.0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_gib_go_through_in_flat_memory(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    digest = write_file(source, SIZE)
    with file_gateways(tmp_path) as (th, la), client(th) as at_th, client(la) as at_la:
        before = [gateway.rss_mb() for gateway in (th, la)]
        for gateway in (th, la):
            gateway.reset_peak()
        began = time.monotonic()
        attachment = at_th.upload(source, "application/octet-stream")
        uploaded = time.monotonic()
        source.unlink()
        accepted = sent(at_th, attachment)
        state = ""
        while state != "stored":
            assert time.monotonic() - uploaded < LIMIT_S
            time.sleep(0.2)
            with contextlib.suppress(NotFound):
                state = at_la.attachments(accepted.message_id, sender="th")[0].state
        carried = time.monotonic()
        at_la.download(accepted.message_id, 0, target, sender="th")
        done = time.monotonic()
        peaks = [gateway.peak_mb() for gateway in (th, la)]
        for gateway, rss, peak in zip((th, la), before, peaks, strict=True):
            print(f"{gateway.code}: {rss:.0f} MB before, {peak:.0f} MB at most")
        print(f"up {uploaded - began:.0f} s, across {carried - uploaded:.0f} s, out {done - carried:.0f} s")
        with target.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest
        assert max(peak - rss for rss, peak in zip(before, peaks, strict=True)) < MOST_MB
