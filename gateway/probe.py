"""Proves the link to a partner in both directions, step by step, and says for each failure what to do."""

import asyncio
from typing import Final

from gateway.assembly import Parts
from gateway.errors import GatewayError, PartnerFrozen, PartnerUnreachable
from gateway.exchange.submission import Submission, Submitter
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Mode, Urgency
from gateway.model.message import Body, Draft, Handling, Onward, Ping, Tlp
from gateway.ports import FindMessage
from gateway.rpc.admin_servicer import TestStep

RECEIPT_TIMEOUT_S: Final = 10.0
CLOCK_WARN_MS: Final = 60_000
UNREACHABLE_ADVICE: Final = (
    "telephone their desk: is their gateway up at this address, have they added our current card, "
    "and is exchange with us not frozen there?"
)
PROBE_AUTHORITY: Final = "gateway"


async def prove_link(parts: Parts, partner: PartnerId, nonce: bytes) -> tuple[TestStep, ...]:
    """Connect, exchange cards, compare clocks, and send a sealed ping whose receipt must come back.

    Raises:
        PartnerUnknown: No card of it was added.
    """
    steps: list[TestStep] = []
    card = parts.directory.card(partner)
    try:
        parts.directory.usable(partner)
    except PartnerFrozen as error:
        return (_failed("exchange is open", error),)
    steps.append(_passed("exchange is open", f"card {card.sequence}, {', '.join(card.endpoints)}"))
    try:
        seen = await parts.carrier.probe(parts.identity(), card)
    except GatewayError as error:
        return (*steps, _failed("reach them and be known", error))
    steps.append(_passed("reach them and be known", f"they know us as '{seen.partner}'"))
    apart_ms = abs(seen.time_ms - parts.clock.now_ms())
    steps.append(
        TestStep(
            name="clocks agree",
            passed=apart_ms <= CLOCK_WARN_MS,
            detail=f"{apart_ms} ms apart",
            advice=""
            if apart_ms <= CLOCK_WARN_MS
            else "compare both clocks with UTC; beyond 5 minutes messages are refused",
        )
    )
    try:
        theirs = await parts.carrier.fetch_card(parts.identity(), card, parts.directory.own_card())
        newer = await parts.directory.offer(partner, theirs)
    except GatewayError as error:
        return (*steps, _failed("cards are current", error))
    steps.append(_passed("cards are current", "took over a newer card" if newer else "both sides have the latest"))
    steps.append(await _ping(parts, partner, nonce))
    return tuple(steps)


async def _ping(parts: Parts, partner: PartnerId, nonce: bytes) -> TestStep:
    """Send a sealed ping the way every message goes, and wait for its receipt."""
    name = "sealed ping with receipt"
    body = Body(
        authority=AuthorityId(f"{parts.config.partner}/{PROBE_AUTHORITY}"),
        handling=Handling(tlp=Tlp.CLEAR, purpose="", onward=Onward.NONE),
        legal_basis=(),
        content=Ping(nonce),
    )
    now_ms = parts.clock.now_ms()
    draft = Draft(
        body=body,
        body_bytes=parts.codec.encode_body(body),
        recipients=(partner,),
        mode=Mode.TEST,
        urgency=Urgency.U0,
        expire_ms=now_ms + 60_000,
        thread_id=None,
        in_reply_to=None,
        supersedes=None,
    )
    submitter = Submitter(principal="operator/probe", authorities=frozenset({body.authority}))
    submission = Submission(submitter=submitter, request_id=nonce, request_digest=nonce * 2, draft=draft)
    (answer,) = await parts.submit.submit([submission])
    if isinstance(answer, GatewayError):
        return _failed(name, answer)
    try:
        async with asyncio.timeout(RECEIPT_TIMEOUT_S):
            while True:
                stored = await parts.store.read(FindMessage(sender=parts.config.partner, message_id=answer.message_id))
                delivery = stored.deliveries[0] if stored is not None else None
                if delivery is not None and delivery.state != "waiting":
                    break
                await asyncio.sleep(0.02)
    except TimeoutError:
        return TestStep(
            name=name,
            passed=False,
            detail=f"no receipt within {RECEIPT_TIMEOUT_S:.0f} s",
            advice="look at `concord outbox`; ask the partner to run its own `partner test` towards us",
        )
    if delivery.state == "received":
        took = (delivery.time_ms or now_ms) - now_ms
        return _passed(name, f"receipt verified; their clock says {took} ms after ours sent it")
    return TestStep(
        name=name,
        passed=False,
        detail=f"they refused it: {delivery.reason}",
        advice="compare cards and agreements with the partner",
    )


def _passed(name: str, detail: str) -> TestStep:
    return TestStep(name=name, passed=True, detail=detail, advice="")


def _failed(name: str, error: GatewayError) -> TestStep:
    # What the error advises is to run this very test.
    advice = UNREACHABLE_ADVICE if isinstance(error, PartnerUnreachable) else error.advice
    if isinstance(error, PartnerFrozen):
        advice = advice.replace("PARTNER", error.partner)
    return TestStep(name=name, passed=False, detail=error.text, advice=advice)
