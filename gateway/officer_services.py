"""Puts together what officers do with drafts that wait for them."""

from dataclasses import dataclass

from gateway.clock import Clock
from gateway.exchange.alone import LoneService
from gateway.exchange.claims import ClaimService
from gateway.exchange.decide import DecisionService
from gateway.exchange.edit_draft import EditService
from gateway.exchange.held_acts import HeldActs
from gateway.exchange.held_lists import HeldLists
from gateway.exchange.hold import HoldService
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.take_back import TakeBackService
from gateway.installation.registry import Registry
from gateway.policy.exchanges import ExchangePolicy
from gateway.ports import Codec, Store
from gateway.rpc.approval_servicer import Desk
from gateway.workers.coalesce import CoalescedSubmit


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerServices:
    """What officers do, and what time does to drafts that they leave."""

    desk: Desk
    taking_back: TakeBackService


def officer_services(
    *,
    store: Store,
    holding: HoldService,
    policy: ExchangePolicy,
    codec: Codec,
    clock: Clock,
    pool: KeyPool,
    submitting: CoalescedSubmit,
    registry: Registry,
) -> OfficerServices:
    """Return the services.

    Args:
        submitting: Where released drafts go out.
        registry: Knows the officers.
    """
    taking_back = TakeBackService(
        store=store, holding=holding, policy=policy, codec=codec, clock=clock, pool=pool, submitting=submitting
    )
    acts = HeldActs(store=store, holding=holding, policy=policy, clock=clock, submitting=submitting)
    desk = Desk(
        claims=ClaimService(acts, registry),
        deciding=DecisionService(acts, taking_back),
        editing=EditService(acts),
        alone=LoneService(acts),
        lists=HeldLists(store=store, clock=clock),
    )
    return OfficerServices(desk=desk, taking_back=taking_back)
