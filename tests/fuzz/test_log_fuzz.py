"""Bytes into what others show of logs: leaves, disclosures of any JSON, paths, exported files, partners' checkpoints.

The parsers of notes, proofs and tiles one by one are in test_translog_fuzz.
"""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.failure import Failure
from gateway.cli.log_files import check_directory, keys_of, verify_proof_file
from gateway.crypto.cards import fingerprint
from gateway.errors import GatewayError, ProofRejected
from gateway.translog.check import LogCheck
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.disclosure import disclose, parse_json, to_json, verify_disclosure
from gateway.translog.entry import EventType, LogEvent, leaf
from gateway.translog.merkle import (
    HASH_BYTES,
    MAX_SIZE,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from gateway.translog.note_keys import NoteSigner, SignatureKind
from gateway.translog.proof import write_proof
from gateway.translog.static import static_files
from gateway.translog.tiles import Frontier, parse_bundle
from gateway.translog.tree_head import TreeHead
from tests.fixtures.hostile import HostilePartner
from tests.fuzz.changes import (
    FUZZ,
    WILD,
    flips,
    neighbours,
    places_of,
    put,
    sprinkled,
    taken,
    taken_async,
    without,
)
from tests.sim.nations import Nation, Network
from tests.unit.translog.logs import LOG, LOG_PQ, NOW_S, ORIGIN, MemoryLog

SALTS = bytes(range(80))
EVENT = LogEvent(
    type=EventType.MESSAGE_REFUSED, time_ms=1_795_651_200_123, actor="partner/cn", partner="cn", subject=bytes(16),
    digest=bytes(32), outcome="refused", reason="POLICY_DENIED", detail="ไม่",
)  # fmt: skip
LEAF = leaf(EVENT, SALTS)
SHOWN = disclose(EVENT, SALTS)
SMALL = MemoryLog(21)
KEYS = [str(signer.note_key) for signer in (LOG, LOG_PQ)]


def test_every_byte_of_a_leaf_is_needed():
    verify_disclosure(LEAF, SHOWN)
    for changed in neighbours(LEAF):
        # Doubling or dropping one of two equal bytes changes only the length.
        assert not taken(lambda data: verify_disclosure(data, SHOWN), changed)


@FUZZ(max_examples=200)
@given(data=st.data())
def test_wild_disclosures(data):
    seed = json.loads(to_json(SHOWN))
    path = data.draw(st.sampled_from(list(places_of(seed))))
    bent = put(seed, path, data.draw(WILD)) if not path or data.draw(st.integers(0, 4)) else without(seed, path)

    def use(text):
        shown = verify_disclosure(LEAF, parse_json(text))
        assert {shown.type, shown.actor, shown.time_ms} <= {EVENT.type, EVENT.actor, EVENT.time_ms, None}

    taken(use, json.dumps(bent).encode())
    taken(use, json.dumps(bent, ensure_ascii=False).encode("utf-8", "surrogatepass"))


HASHES = st.lists(st.one_of(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), st.binary(max_size=40)), max_size=6)
SIZES = st.one_of(st.integers(-2, 30), st.sampled_from((2**32, MAX_SIZE, MAX_SIZE + 1, 2**64)))


@FUZZ(max_examples=200)
@given(SIZES, SIZES, HASHES)
def test_paths_of_any_shape_prove_nothing(index, size, hashes):
    for root in (SMALL.head.root, bytes(32), b""):
        inclusion = (leaf_hash(b"no such leaf"), index, size, root, hashes)
        assert not taken(lambda proof: verify_inclusion(*proof), inclusion)
        consistency = (index, size, bytes(range(32)), root, hashes)
        assert not taken(lambda proof: verify_consistency(*proof), consistency)


def test_every_bit_of_paths_is_needed():
    root = SMALL.head.root
    for index in (0, 11, 20):
        hashes = inclusion_proof(SMALL.tiles, index, 21)
        proven = leaf_hash(SMALL.leaves[index])
        verify_inclusion(proven, index, 21, root, hashes)
        for place, one in enumerate(hashes):
            for changed in flips(one):
                bent = (*hashes[:place], changed, *hashes[place + 1 :])
                with pytest.raises(ProofRejected):
                    verify_inclusion(proven, index, 21, root, bent)
    old = MemoryLog(13).head.root
    hashes = consistency_proof(SMALL.tiles, 13, 21)
    verify_consistency(13, 21, old, root, hashes)
    for place, one in enumerate(hashes):
        for changed in flips(one):
            with pytest.raises(ProofRejected):
                verify_consistency(13, 21, old, root, (*hashes[:place], changed, *hashes[place + 1 :]))


# --- files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported log of 21 entries with what three of them disclose, as files."""
    folder = tmp_path_factory.mktemp("exported")
    events = [(leaf(EVENT, SALTS), to_json(SHOWN)) for _ in range(3)]
    log = MemoryLog()
    log.leaves = [item for item, _ in events]
    grown = Frontier.empty().append([leaf_hash(item) for item in log.leaves])
    log.tiles.put(grown.tiles)
    log.frontier = grown.frontier
    for path, content in static_files(log.checkpoint(), log.tiles, log):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    lines = [json.dumps({"index": index, "disclosure": text}) + "\n" for index, (_, text) in enumerate(events)]
    (folder / "entries.jsonl").write_text("".join(lines))
    return folder


def checked(folder) -> bool:
    """Return whether a directory is found sound; a refusal in words is as good as an unsound one."""
    try:
        return bool(check_directory(folder, KEYS)["sound"])
    except (Failure, GatewayError):
        return False


def test_every_byte_of_an_exported_log(exported):
    assert checked(exported)
    for path in sorted(path for path in exported.rglob("*") if path.is_file()):
        data = path.read_bytes()
        # ML-DSA signatures fill a checkpoint; disclosures repeat.
        places = range(0, len(data), 17 if path.name in {"checkpoint", "entries.jsonl"} else 1)
        for changed in flips(data, places):
            path.write_bytes(changed)
            # In a disclosure, white space or the case of an escape can change and say the same.
            assert not checked(exported) or path.name == "entries.jsonl"
        for changed in neighbours(data, range(0, len(data), 61)):
            path.write_bytes(changed)
            checked(exported)
        for changed in (b"", b"\x00" * 100, b"[" * 100_000, data * 2, b"\n" + data):
            path.write_bytes(changed)
            assert not checked(exported)
        path.unlink()
        path.mkdir()
        assert not checked(exported)
        path.rmdir()
        path.write_bytes(data)
    assert checked(exported)


@FUZZ(max_examples=100)
@given(data=st.data())
def test_proof_files_that_are_sprinkled(data):
    note = SMALL.checkpoint([LOG]).note
    good = write_proof(20, inclusion_proof(SMALL.tiles, 20, 21), note)
    parts = [good, SMALL.leaves[20], b"", KEYS[0].encode()]
    place = data.draw(st.integers(0, 3))
    parts[place] = data.draw(sprinkled(parts[place]))
    proof, shown, disclosure, key = parts
    try:
        proven = verify_proof_file(proof, shown, disclosure.decode("latin-1"), [key.decode("latin-1")])
    except (Failure, GatewayError):
        return
    assert (proven.index, proven.leaf, proven.checkpoint.head) == (20, SMALL.leaves[20], SMALL.head)


@FUZZ(max_examples=100)
@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(KEYS)), max_size=3))
def test_any_texts_as_verifier_keys(texts):
    try:
        keys = keys_of(texts)
    except Failure:
        return
    assert {str(key) for key in keys} == {text.strip() for text in texts}


@FUZZ(max_examples=150)
@given(st.binary(max_size=200), st.integers(0, 256))
def test_any_bytes_as_bundle_and_as_leaves_to_check(data, width):
    taken(lambda item: parse_bundle(item, width), data)

    def check(item):
        whole = LogCheck(SMALL.tiles, [SMALL.head])
        whole.feed([*SMALL.leaves[:20], item])
        whole.finish(21, SMALL.head.root)

    assert not taken(check, data)


# --- what partners show of their logs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The gateway th, to which vn shows checkpoints, and vn's signers."""
    loop = asyncio.new_event_loop()
    partner = HostilePartner("vn")

    async def make():
        nation = await Nation.start("th", tmp_path_factory.mktemp("shown"), Network())
        await nation.directory.add(partner.signed(), fingerprint(partner.keyring.identity.verify_key.public))
        return nation

    nation = loop.run_until_complete(make())
    origin = "vn.concord/exchange-log/00"
    signers = (
        NoteSigner(origin, SignatureKind.ED25519, partner.keyring.log),
        NoteSigner(origin, SignatureKind.MLDSA44_COSIGNATURE, partner.keyring.cosign),
    )
    yield loop, nation, partner, signers
    loop.run_until_complete(nation.stop())
    loop.close()


def test_every_byte_of_a_checkpoint_that_a_partner_shows(world):
    loop, nation, partner, signers = world
    note = sign_checkpoint(TreeHead(signers[0].name, 21, SMALL.head.root), signers, NOW_S).note

    def hear(data):
        return loop.run_until_complete(taken_async(lambda item: nation.log.theirs.hear(partner.partner, item), data))

    for changed in [*flips(note, [*range(180), *range(180, len(note), 7)]), *neighbours(note, range(0, len(note), 67))]:
        # Nothing at all is shown by a partner that has no checkpoint yet.
        assert not hear(changed) or not changed
    assert hear(note)
    for data in (b"\n", b"\x00", b"\xff" * 100, note * 2, note[: len(note) // 2], b"a\n" * 20_000):
        assert not hear(data)
        # Of our own log they show what we signed, or nothing that counts.
        assert not loop.run_until_complete(taken_async(lambda item: nation.log.hear_own(partner.partner, item), data))


@FUZZ(max_examples=60)
@given(
    size=st.one_of(st.integers(0, 60), st.just(MAX_SIZE)),
    root=st.binary(min_size=32, max_size=32),
    extra=st.text(max_size=9),
)
def test_any_tree_that_a_partner_signs(world, size, root, extra):
    loop, nation, partner, signers = world

    def sign(head):
        return sign_checkpoint(head, signers, NOW_S)

    head = TreeHead(signers[0].name, size, root, (extra,) if extra else ())
    if taken(sign, head):
        note = sign(head).note
        loop.run_until_complete(taken_async(lambda item: nation.log.theirs.hear(partner.partner, item), note))
        loop.run_until_complete(taken_async(lambda item: nation.log.hear_own(partner.partner, item), note))
    assert signers[0].name != ORIGIN
