"""Registers national systems, auditors and officers while the gateway runs, and issues their certificates."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.clock import Clock
from gateway.crypto.certificates import Authority, issue_requested, validity_ms
from gateway.errors import FieldInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.installation.registry import IssuedCertificate, Registered, Registry
from gateway.rpc.callers import certificate_digest


class SystemDesk:
    """Implements rpc.system_views.SystemBackend.

    Args:
        registry: Who may call.
        authority: Gives key and certificate of our own authority now.
        own: This state.
        authorities: Gives the authorities of its profile, which the agreements draw on.
        first: Makes sure that the listener for systems is open.
        record: Puts in the exchange log, durably, what an operator does here.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        authority: Callable[[], Authority],
        own: PartnerId,
        authorities: Callable[[], tuple[AuthorityId, ...]],
        clock: Clock,
        first: Callable[[], Awaitable[None]],
        record: Callable[[str], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._own = own
        self._authorities = authorities
        self._clock = clock
        self._first = first
        self._record = record
        self._one_at_a_time = asyncio.Lock()

    def list(self) -> tuple[Registered, ...]:
        """Return who may call with a certificate."""
        return self._registry.all()

    async def add(
        self,
        role: str,
        name: str,
        authorities: tuple[AuthorityId, ...],
        request: bytes,
        officer_roles: tuple[str, ...] = (),
    ) -> tuple[Registered, bytes]:
        """Register one and return its certificate (PEM).

        Raises:
            FieldInvalid: Role, name, authorities or request are not allowed.
            StateConflict: The name is taken.
            ConfigInvalid: The registration cannot be stored, or the listener cannot be opened.
        """
        async with self._one_at_a_time:
            self._registry.check_new(role, name, authorities, officer_roles)
            self._check_known(authorities)
            certificate, issued = self._issue(role, name, request)
            # Before it counts: with the address taken, nothing is to be registered.
            await self._first()
            await self._record(f"{role} add {name}")
            return self._registry.add(role, name, authorities, issued, officer_roles), certificate

    def _check_known(self, authorities: tuple[AuthorityId, ...]) -> None:
        """Refuse an authority that no profile knows: a system that speaks for it could never send anything.

        Raises:
            FieldInvalid: One is not known; says which are.
        """
        profile = self._authorities()
        for authority in authorities:
            if authority not in profile:
                known = ", ".join(sorted(item.name for item in profile))
                raise FieldInvalid(
                    "authorities", f"'{authority}' is not in the profile of '{self._own}', which knows: {known}"
                )

    async def renew(self, role: str, name: str, request: bytes) -> tuple[Registered, bytes]:
        """Return another certificate (PEM) for one; the one before stays good until it ends.

        Raises:
            FieldInvalid: The request is not allowed.
            NotFound: It is not registered.
            ConfigInvalid: The registration cannot be stored.
        """
        async with self._one_at_a_time:
            self._registry.find(role, name)
            certificate, issued = self._issue(role, name, request)
            await self._record(f"{role} renew {name}")
            return self._registry.renew(role, name, issued), certificate

    async def remove(self, role: str, name: str) -> Registered:
        """Take one back; its open streams end at once.

        Raises:
            NotFound: It is not registered.
            ConfigInvalid: The change cannot be stored.
        """
        async with self._one_at_a_time:
            # The other way round: a store that takes no writes keeps nobody registered.
            removed = self._registry.remove(role, name)
            await self._record(f"{role} remove {name}")
            return removed

    def _issue(self, role: str, name: str, request: bytes) -> tuple[bytes, IssuedCertificate]:
        certificate = issue_requested(
            self._authority(), self._own, role=role, name=name, request=request, now_ms=self._clock.now_ms()
        )
        return certificate, IssuedCertificate(certificate_digest(certificate).hex(), validity_ms(certificate)[1])
