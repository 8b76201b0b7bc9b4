"""Gateways of several nations in one process: real stores, real crypto, real workers, a network that does as told.

The network stands in for carriers only. It can cut, lose answers, duplicate and reorder frames.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.clock import SystemClock
from gateway.crypto.cards import fingerprint, sign_card
from gateway.crypto.certificates import create_authority, pem_to_der
from gateway.crypto.keys import KeyEncryptionKey, OpenKey, SignKey
from gateway.crypto.mldsa import MLDSASignKey
from gateway.errors import GatewayError, PartnerUnreachable
from gateway.exchange.acknowledge import AcknowledgeService
from gateway.exchange.claims import ClaimService
from gateway.exchange.courier import Courier
from gateway.exchange.decide import DecisionService
from gateway.exchange.deliver import Prefetch
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.expire import ExpiryService
from gateway.exchange.held_acts import HeldActs
from gateway.exchange.hold import HoldService
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.mark_alert import AlertMarker
from gateway.exchange.officers import Officer
from gateway.exchange.own_keys import KeyHolder, OwnKeys
from gateway.exchange.quota import Quota
from gateway.exchange.reader import MessageReader
from gateway.exchange.receive import ReceiveService
from gateway.exchange.submission import Submission, Submitter
from gateway.exchange.submit import SubmitService
from gateway.exchange.take_back import TakeBackService
from gateway.ids import AuthorityId, MessageId, OfficerId, PartnerId, ThreadId
from gateway.model.alert import Alert, AlertInfo, AlertType, SourceTime
from gateway.model.header import Header, Mode, Urgency
from gateway.model.message import Body, Draft, Handling, Onward, Tlp
from gateway.model.partner import Card, CardKey, KeyPurpose, LocalName, SignedCard
from gateway.policy.decision import Allow, Decided, Decision, answered
from gateway.ports import (
    FindMessage,
    FrameAnswer,
    Link,
    LinkIdentity,
    OutgoingFrame,
    ProbeAnswer,
    ShownLogs,
    Store,
    StoredMessage,
    SubmissionResult,
)
from gateway.rpc.convert import WireCodec
from gateway.store.sqlite import open_sqlite
from gateway.workers.housekeeping import number_events
from gateway.workers.links import Links
from gateway.workers.signals import event_signals

YEAR_MS = 365 * 86_400_000
CODEC = WireCodec()


class AllowAll:
    """Policy is tested elsewhere."""

    def outgoing(self, draft: Draft) -> Decision:
        return Allow(rule_ids=(), explanation="")

    def releasing(self, draft: Draft, decided: Decided) -> Decision:
        return answered(self.outgoing(draft), decided)

    def incoming(self, header: Header, body: Body) -> Decision:
        return Allow(rule_ids=(), explanation="")

    def default_lifetime_ms(self, draft: Draft) -> int:
        return 86_400_000


@dataclass
class Network:
    """Carries frames between nations and misbehaves on request."""

    nations: dict[PartnerId, "Nation"] = field(default_factory=dict)
    down: set[PartnerId] = field(default_factory=set)
    lose_answers: int = 0
    """The next so many frames are taken in, but their answers are lost with the link."""
    duplicate: bool = False
    """Every frame is taken in twice; the second answer is the one that comes back."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    lose_rate: float = 0.0
    frames: int = 0
    reverse: bool = False
    """Envelopes of a frame arrive in reverse order, one frame each."""
    links: list["SimLink"] = field(default_factory=list)
    """All that were opened, the newest last."""


class SimLink:
    """A link of the network."""

    def __init__(self, network: Network, source: PartnerId, target: "Nation") -> None:
        self._network = network
        self._source = source
        self._target = target
        self._answers: asyncio.Queue[FrameAnswer | None] = asyncio.Queue()
        self._over = asyncio.Event()
        network.links.append(self)

    def end(self) -> None:
        """End it in good order, as the other side does with every stream after a time."""
        self._over.set()

    async def send(self, frame: OutgoingFrame) -> None:
        network = self._network
        if self._target.partner in network.down:
            raise PartnerUnreachable("the network is down")
        network.frames += 1
        try:
            if network.duplicate:
                await self._target.receive.take_in(self._source, frame)
            if network.reverse:
                for envelope in reversed(frame.envelopes):
                    await self._target.receive.take_in(
                        self._source, OutgoingFrame(sequence=frame.sequence, envelopes=(envelope,), receipts=())
                    )
            answer = await self._target.receive.take_in(self._source, frame)
        except GatewayError as error:
            raise PartnerUnreachable(error.text) from error
        lost = network.lose_answers > 0 or network.chance.random() < network.lose_rate
        if lost:
            network.lose_answers = max(0, network.lose_answers - 1)
            await self._answers.put(None)
            return
        await self._answers.put(answer)

    async def answers(self) -> AsyncIterator[FrameAnswer]:
        while True:
            coming = asyncio.ensure_future(self._answers.get())
            over = asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                answer = coming.result()
            finally:
                coming.cancel()
                over.cancel()
            if answer is None:
                raise PartnerUnreachable("the link was cut")
            yield answer

    async def close(self) -> None:
        return


class SimCarrier:
    """The carrier of one nation over the network."""

    def __init__(self, network: Network, own: PartnerId) -> None:
        self._network = network
        self._own = own

    async def connect(self, identity: LinkIdentity, card: Card) -> Link:
        if card.partner in self._network.down or card.partner not in self._network.nations:
            raise PartnerUnreachable("the network is down")
        return SimLink(self._network, self._own, self._network.nations[card.partner])

    async def probe(self, identity: LinkIdentity, card: Card) -> ProbeAnswer:
        raise PartnerUnreachable("the network carries frames only")

    async def exchange_checkpoints(self, identity: LinkIdentity, card: Card, shown: ShownLogs) -> ShownLogs:
        target = self._network.nations[card.partner]
        known = await target.log.hear_own(self._own, shown.seen)
        await target.log.theirs.hear(
            self._own, shown.checkpoint, proven_from=shown.proven_from, consistency=shown.consistency,
            beginning=shown.beginning,
        )  # fmt: skip
        return await target.log.show(self._own, known)

    async def fetch_card(self, identity: LinkIdentity, card: Card, own: SignedCard) -> SignedCard:
        target = self._network.nations[card.partner]
        await target.directory.offer(self._own, own)
        return target.directory.own_card()


@dataclass
class Secrets:
    """A nation's keys, kept through restarts."""

    identity: SignKey
    envelope: SignKey
    receipt: SignKey
    seal: OpenKey
    kek: KeyEncryptionKey
    root: bytes
    log: SignKey
    cosign: MLDSASignKey

    @classmethod
    def generate(cls, partner: PartnerId, now_ms: int) -> "Secrets":
        _, certificate = create_authority(partner, now_ms)
        return cls(
            SignKey.generate(), SignKey.generate(), SignKey.generate(), OpenKey.generate(),
            KeyEncryptionKey.generate(), pem_to_der(certificate), SignKey.generate(), MLDSASignKey.generate(),
        )  # fmt: skip


class Nation:
    """One gateway without listeners."""

    def __init__(self, code: str, home: Path, network: Network, secrets: Secrets, clock: SystemClock) -> None:
        self.partner = PartnerId(code)
        self.home = home
        self.network = network
        self.secrets = secrets
        self.clock = clock
        self.policy = AllowAll()
        self.quota = Quota(per_second=1e6, burst=1_000_000)
        self.desk: tuple[Officer, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, code: str, base: Path, network: Network, secrets: Secrets | None = None, **kw) -> "Nation":
        clock = kw.pop("clock", SystemClock())
        nation = cls(code, base / code, network, secrets or Secrets.generate(PartnerId(code), clock.now_ms()), clock)
        nation.policy = kw.pop("policy", nation.policy)
        nation.home.mkdir(exist_ok=True)
        nation.store = await open_sqlite(nation.home, **kw)
        await nation._assemble()
        network.nations[nation.partner] = nation
        return nation

    store: Store

    async def _assemble(self) -> None:
        store, clock = self.store, self.clock
        self.directory = PartnerDirectory(self.partner, store, CODEC, clock)
        await self.directory.load()
        self.keys = KeyHolder(self.own_keys(), CODEC)
        common = {"directory": self.directory, "store": store, "codec": CODEC, "clock": clock, "keys": self.keys}
        self.pool = KeyPool(store, self.keys, clock.now_ms, lambda: None)
        self.log = LogKeeper(directory=self.directory, store=store, clock=clock, keys=self.keys)
        await self.log.open()
        self.links = Links(
            directory=self.directory, store=store, carrier=SimCarrier(self.network, self.partner),
            identity=lambda: LinkIdentity(partner=self.partner, certificate_chain_pem=b"", private_key_pem=b""),
            prefetch=Prefetch(64 << 20), log=self.log,
            courier=Courier(**common), keys=self.keys, clock=clock,
        )  # fmt: skip

        async def pause() -> None:
            await asyncio.sleep(0)

        async def offload(call):
            return await asyncio.to_thread(call)

        self.holding = HoldService(store=store, codec=CODEC, clock=clock, keys=self.keys, pool=self.pool)
        self.submit = SubmitService(
            **common, pool=self.pool, policy=self.policy, quota=self.quota, ready=self.links.offer, offload=offload,
            holding=self.holding,
        )  # fmt: skip
        self.taking_back = TakeBackService(
            store=store, holding=self.holding, policy=self.policy, codec=CODEC, clock=clock, pool=self.pool,
            submitting=self.submit,
        )  # fmt: skip
        self.acts = HeldActs(store=store, holding=self.holding, policy=self.policy, clock=clock, submitting=self.submit)
        self.deciding = DecisionService(self.acts, self.taking_back)
        self.claims = ClaimService(self.acts, self)
        self.receive = ReceiveService(**common, pool=self.pool, policy=self.policy, quota=self.quota, pause=pause)
        self.reader = MessageReader(
            store=store, codec=CODEC, clock=clock, keys=self.keys, new_signal=event_signals(store)
        )
        self.acknowledge = AcknowledgeService(
            store=store, codec=CODEC, clock=clock, keys=self.keys, queued=self.links.receipts_wait
        )
        self.marker = AlertMarker(store=store, clock=clock, own=self.partner)
        self.expiry = ExpiryService(store=store, codec=CODEC, clock=clock, keys=self.keys)
        with contextlib.suppress(GatewayError):
            self.directory.known(self.partner)
            return
        await self.directory.put_own(self.make_card(1, b""))

    def officers(self) -> dict[OfficerId, Officer]:
        return {officer.officer_id: officer for officer in self.desk}

    def own_keys(self) -> OwnKeys:
        s = self.secrets
        return OwnKeys(
            partner=self.partner, envelope=s.envelope, receipt=s.receipt, log=s.log, log_cosign=s.cosign,
            open_keys={s.seal.seal_key.id: s.seal},
            retired=frozenset(), key_encryption=s.kek,
        )  # fmt: skip

    def make_card(self, sequence: int, previous_digest: bytes) -> SignedCard:
        s, now = self.secrets, self.clock.now_ms()
        pairs = [
            (KeyPurpose.IDENTITY, s.identity.verify_key.public), (KeyPurpose.ENVELOPE, s.envelope.verify_key.public),
            (KeyPurpose.RECEIPT, s.receipt.verify_key.public), (KeyPurpose.SEAL, s.seal.seal_key.public),
            (KeyPurpose.LOG, s.log.verify_key.public), (KeyPurpose.LOG_COSIGN, s.cosign.verify_key.public),
        ]  # fmt: skip
        card = Card(
            partner=self.partner, sequence=sequence, previous_digest=previous_digest, create_ms=now,
            names=(LocalName("en", self.partner.code.upper()),),
            keys=tuple(
                CardKey(purpose=p, public_key=k, start_ms=now - 3_600_000, end_ms=now + YEAR_MS, revoke_ms=None)
                for p, k in pairs
            ),
            tls_roots=(s.root,), endpoints=("127.0.0.1:1",), desks=(), time_zone="UTC", languages=("en",),
            kinds=("alert",), suites=(1,),
        )  # fmt: skip
        return sign_card(card, identity=s.identity, previous_identity=None, codec=CODEC)

    async def befriend(self, other: "Nation") -> None:
        await self.directory.add(other.directory.own_card(), fingerprint(other.secrets.identity.verify_key.public))

    def run(self) -> None:
        """Start the workers."""
        self._tasks = [
            asyncio.create_task(self.links.run()), asyncio.create_task(number_events(self.store)),
        ]  # fmt: skip

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()

    def draft(self, recipients: str, text: str = "Flood on the Mekong", **kw) -> Draft:
        now = self.clock.now_ms()
        body = alert_body(self.partner, text, now)
        plain = Draft(
            body=body, body_bytes=CODEC.encode_body(body), recipients=tuple(map(PartnerId, recipients.split())),
            mode=Mode.EXERCISE, urgency=Urgency.U3, expire_ms=None, thread_id=None, in_reply_to=None, supersedes=None,
        )  # fmt: skip
        return replace(plain, **kw)

    async def send(self, recipients: str, text: str = "Flood on the Mekong", **kw) -> SubmissionResult:
        (answer,) = await self.submit.submit([self.submission(self.draft(recipients, text, **kw))])
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    def submission(self, draft: Draft, request_id: bytes | None = None) -> Submission:
        authority = draft.body.authority
        return Submission(
            submitter=Submitter(principal="system/test", authorities=frozenset({authority})),
            request_id=request_id or os.urandom(16), request_digest=bytes(32), draft=draft,
        )  # fmt: skip

    async def found(self, sender: PartnerId, message_id: MessageId) -> StoredMessage | None:
        return await self.store.read(FindMessage(sender=sender, message_id=message_id))

    async def state_at(self, message_id: MessageId, partner: str) -> str:
        stored = await self.found(self.partner, message_id)
        assert stored is not None
        return next(d.state for d in stored.deliveries if d.partner.code == partner)


def alert_body(partner: PartnerId, text: str, now_ms: int) -> Body:
    return Body(
        authority=AuthorityId(f"{partner}/early-warning"),
        handling=Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE),
        legal_basis=(),
        content=Alert(
            identifier="exercise-1", source_sender="desk@example.org", sent_time=SourceTime(now_ms, 420),
            alert_type=AlertType.ALERT, infos=(AlertInfo(language="en", event="Flood", headline=text),),
        ),
    )  # fmt: skip


async def until(condition, timeout_s: float = 10.0) -> None:
    """Wait until an async condition holds; fail loudly when it does not."""
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.01)


__all__ = ["Nation", "Network", "Secrets", "ThreadId", "until"]
