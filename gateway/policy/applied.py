"""Which policy counts: the one that two operators have signed, in a chain from the first.

A policy is the profiles of all partners, the rules that ship, and the operators themselves; its digest covers all of
them. An entry of the chain names the policy before it, and counts when two different operators of *that* policy have
signed it, so that nobody becomes an operator, or makes another one, alone. The first entry is signed by its own
operators: it is believed because it was first, which is what the exchange log and whoever compares it are for.

Leaves to others: where entries and keys are kept (gateway.installation.applied).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.crypto.framing import number, pae
from gateway.crypto.keys import VerifyKey
from gateway.crypto.operators import OperatorKey
from gateway.errors import EnvelopeRejected, FieldInvalid, PolicyNotApplied
from gateway.ids import PartnerId

SIGNERS: Final = 2
_DIGEST: Final = "concord/policy/v1"
_SIGNATURE: Final = "concord/policy-applied/v1"


@dataclass(frozen=True, slots=True, order=True)
class Operator:
    """Somebody who may apply a policy, with one other."""

    name: str
    public: bytes
    """Ed25519."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may count."""

    partner: PartnerId
    files: tuple[tuple[str, bytes], ...]
    """Name and SHA-256 of every profile and every file of rules, sorted by name."""
    operators: tuple[Operator, ...]

    @property
    def digest(self) -> bytes:
        """What operators sign, and what the log has."""
        parts = [self.partner.code.encode(), number(len(self.files))]
        for name, content in self.files:
            parts += [name.encode(), content]
        for operator in sorted(self.operators):
            parts += [operator.name.encode(), operator.public]
        return hashlib.sha256(pae(_DIGEST, *parts)).digest()


@dataclass(frozen=True, slots=True)
class Signed:
    """An operator's word that a policy is to count."""

    operator: Operator
    time_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A policy with the words for it; it counts with SIGNERS of them."""

    policy: Policy
    previous: bytes
    """Digest of the policy before; empty for the first."""
    signed: tuple[Signed, ...]


def sign(key: OperatorKey, policy: Policy, previous: bytes, now_ms: int) -> Signed:
    """Return an operator's word for a policy."""
    signature = key.key.sign(_message(policy, previous, now_ms))
    return Signed(Operator(key.name, key.public), now_ms, signature)


def verify_chain(chain: tuple[Entry, ...], own: PartnerId) -> Entry | None:
    """Return the entry that counts: the last of a chain that is whole. None for no chain.

    Raises:
        PolicyNotApplied: An entry does not follow from the one before it.
    """
    before: Entry | None = None
    for entry in chain:
        voters = entry.policy.operators if before is None else before.policy.operators
        previous = b"" if before is None else before.policy.digest
        if entry.policy.partner != own or entry.previous != previous:
            raise PolicyNotApplied("the record of applied policies does not hang together")
        if len(verified_signers(entry, voters)) < SIGNERS:
            raise PolicyNotApplied("the record of applied policies lacks the words of two operators")
        before = entry
    return before


def verified_signers(entry: Entry, voters: tuple[Operator, ...]) -> frozenset[Operator]:
    """Return the voters whose word stands in an entry.

    Raises:
        PolicyNotApplied: A signature is wrong, or a stranger's.
    """
    found: set[Operator] = set()
    for signed in entry.signed:
        if signed.operator not in voters:
            raise PolicyNotApplied(f"'{signed.operator.name}' was no operator when this policy was applied")
        try:
            message = _message(entry.policy, entry.previous, signed.time_ms)
            VerifyKey(signed.operator.public).verify(message, signed.signature)
        except (EnvelopeRejected, FieldInvalid) as error:
            raise PolicyNotApplied(f"the word of '{signed.operator.name}' for this policy is not theirs") from error
        found.add(signed.operator)
    return frozenset(found)


def differences(applied: Policy, now: Policy) -> tuple[str, ...]:
    """Return how a policy differs from the one that was applied, a line each."""
    before, after = dict(applied.files), dict(now.files)
    lines = [f"{name} has changed" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    lines += [f"{name} is new" for name in sorted(after.keys() - before.keys())]
    lines += [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    for one, other, word in ((now, applied, "is a new operator"), (applied, now, "is no operator any more")):
        lines += [f"'{who.name}' {word}" for who in sorted(set(one.operators) - set(other.operators))]
    return tuple(lines)


def check_operators(operators: tuple[Operator, ...]) -> Mapping[bytes, Operator]:
    """Return operators by their keys.

    Raises:
        PolicyNotApplied: There are fewer than SIGNERS, or two share a key.
    """
    found = {operator.public: operator for operator in operators}
    if len(found) != len(operators):
        raise PolicyNotApplied("two operators have the same key")
    if len(found) < SIGNERS:
        raise PolicyNotApplied(f"{len(found)} of at least {SIGNERS} operators are named in this home")
    return found


def _message(policy: Policy, previous: bytes, time_ms: int) -> bytes:
    return pae(_SIGNATURE, policy.digest, previous, number(time_ms))
