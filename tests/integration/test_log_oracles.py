"""Other people's verifiers take our log: proofbundle our proofs, tlog-scales our tiles and signatures."""

import subprocess
import sys

import pytest
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey, VkeySet

from gateway.translog.merkle import consistency_proof, inclusion_proof
from gateway.translog.note import add_signatures, signature_of
from gateway.translog.proof import write_proof
from gateway.translog.static import static_files
from tests.unit.translog.logs import LOG, LOG_PQ, NOW_S, ORIGIN, WITNESSES, MemoryLog

SIZE = 70_000


@pytest.fixture(scope="module")
def log():
    return MemoryLog(SIZE, step=SIZE)


@pytest.fixture(scope="module")
def witnessed(log):
    lines = [signature_of(log.head.text, witness, NOW_S) for witness in WITNESSES]
    return add_signatures(log.checkpoint([LOG, LOG_PQ]).note, lines)


def proofbundle(*arguments):
    command = [sys.executable, "-m", "proofbundle.cli", "verify-proof", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_proofbundle_takes_our_proof_and_refuses_another_entry(log, witnessed, tmp_path):
    index = 4242
    proof, entry, other = tmp_path / "entry.tlog-proof", tmp_path / "entry", tmp_path / "other"
    proof.write_bytes(write_proof(index, inclusion_proof(log.tiles, index, SIZE), witnessed))
    entry.write_bytes(log.leaves[index])
    other.write_bytes(log.leaves[index + 1])
    options = ["--log-vkey", str(LOG.note_key), "--expected-origin", ORIGIN, "--threshold", "2"]
    for witness in WITNESSES:
        options += ["--witness-vkey", str(witness.note_key)]
    good = proofbundle("--payload-file", entry, *options, proof)
    assert good.returncode == 0, good.stdout + good.stderr
    assert proofbundle("--payload-file", other, *options, proof).returncode != 0
    (tmp_path / "bare").write_bytes(
        write_proof(index, inclusion_proof(log.tiles, index, SIZE), log.checkpoint([LOG]).note)
    )
    assert proofbundle("--payload-file", entry, *options, tmp_path / "bare").returncode != 0


def test_tlog_scales_recomputes_our_root_and_proofs_from_exported_tiles_and_takes_every_signature(
    log, witnessed, tmp_path
):
    for path, data in static_files(log.checkpoint([LOG, LOG_PQ]), log.tiles, log):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (tmp_path / "checkpoint").write_bytes(witnessed)
    reader = TilesReader(LocalBackend(tmp_path))
    checkpoint = reader.get_checkpoint()
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, SIZE)
    assert reader.calculate_root_hash() == checkpoint.root_hash == log.frontier.root
    for index in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        assert reader.get_entry(index) == log.leaves[index]
        assert list(reader.get_inclusion_proof(index, SIZE).node_hashes) == list(
            inclusion_proof(log.tiles, index, SIZE)
        )
        theirs = reader.get_consistency_proof(index + 1, SIZE)
        assert list(theirs.node_hashes) == list(consistency_proof(log.tiles, index + 1, SIZE))
    keys = VkeySet(*(Vkey.from_string(str(signer.note_key)) for signer in (LOG, LOG_PQ, *WITNESSES)))
    verified = keys.verify(checkpoint.signatures, checkpoint)
    assert {key.sig_type for key, _ in verified} == {1, 4, 6}
    assert len(verified) == 4
