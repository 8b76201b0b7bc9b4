"""Turning a referral (help) into a request (coercion): its own approval, and the consent of everybody it is about.

There is no event of a referral that makes it a request. A conversion is a thing of its own: every person named
consents, or a reason of vital interest stands in its place; the state that referred the case consents, when that is
another one; and officers of the requests' room approve anew. What comes of it is a draft, with its own release ahead.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from gateway.errors import FieldInvalid, StateConflict
from gateway.workflow.approval import Approved
from gateway.workflow.referral import ReferralState
from gateway.workflow.table import OFFICER, PARTNER, SYSTEM, Cause, Event, Machine, State

MAX_PERSONS: Final = 512
"""referral.proto: persons of a referral."""


class ConversionState(State):
    """Where a conversion stands."""

    PROPOSED = 1
    CONSENTED = 2
    """Everybody who has to consent has."""
    APPROVED = 3
    CONVERTED = 4
    REFUSED = 5
    WITHDRAWN = 6


class ConversionEvent(Event):
    """What may happen to a conversion."""

    CONSENT = 1
    """The last consent that was missing."""
    REVOKE = 2
    """Somebody has taken a consent back."""
    EDIT = 3
    APPROVE = 4
    REFUSE = 5
    CONVERT = 6
    WITHDRAW = 7


_S, _E = ConversionState, ConversionEvent
_STOP: Final = {_E.REFUSE: _S.REFUSED, _E.WITHDRAW: _S.WITHDRAWN}
MACHINE: Final = Machine(
    noun="a conversion",
    start=_S.PROPOSED,
    rows={
        _S.PROPOSED: {_E.CONSENT: _S.CONSENTED, _E.EDIT: _S.PROPOSED, **_STOP},
        # Consent was given to what is edited now.
        _S.CONSENTED: {_E.APPROVE: _S.APPROVED, _E.REVOKE: _S.PROPOSED, _E.EDIT: _S.PROPOSED, **_STOP},
        _S.APPROVED: {_E.CONVERT: _S.CONVERTED, _E.REVOKE: _S.PROPOSED, _E.EDIT: _S.PROPOSED, **_STOP},
        _S.CONVERTED: {},
        _S.REFUSED: {},
        _S.WITHDRAWN: {},
    },
    causes={
        _E.CONSENT: OFFICER | PARTNER,
        _E.REVOKE: OFFICER | PARTNER,
        **dict.fromkeys((_E.EDIT, _E.APPROVE, _E.REFUSE, _E.WITHDRAW), OFFICER),
        _E.CONVERT: SYSTEM,
    },
    open=frozenset({_S.PROPOSED, _S.CONSENTED, _S.APPROVED}),
    advice={
        _S.PROPOSED: "consent of everybody it is about comes first",
        _S.CONVERTED: "withdraw the request that it became",
    },
)

CONVERTIBLE: Final = frozenset({ReferralState.ACCEPTED, ReferralState.IN_PROGRESS, ReferralState.INFO_NEEDED})
"""States of a referral that may lead to a request: somebody is at work on it. Nothing closed is mined for requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A referral that is to become a request."""

    state: ConversionState
    digest: bytes
    """SHA-256 of the request that is to come of it: what people consent to and officers approve."""
    needed: frozenset[str]
    """References of the persons whose consent it takes, as the referral names them; ORIGINATOR for its sender."""
    given: frozenset[str] = field(default_factory=frozenset)

    @property
    def missing(self) -> frozenset[str]:
        """Whose consent is missing."""
        return self.needed - self.given


ORIGINATOR: Final = "originator"
"""Stands for the state that sent the referral, among those who consent."""


def propose(referral: ReferralState, digest: bytes, persons: frozenset[str], *, from_partner: bool) -> Conversion:
    """Begin a conversion.

    Args:
        referral: Where the referral stands.
        digest: Of the request that is to come of it.
        persons: References of the persons it names.
        from_partner: Another state sent the referral, and has to agree that its purpose changes.

    Raises:
        StateConflict: Nobody is at work on the referral.
        FieldInvalid: No person, too many, or one named like the originator.
    """
    if referral not in CONVERTIBLE:
        instead = ", ".join(state.word.replace("_", " ") for state in sorted(CONVERTIBLE))
        now = referral.word.replace("_", " ")
        raise StateConflict(f"cannot make a request of a referral that is {now}: possible while it is {instead}")
    if not 1 <= len(persons) <= MAX_PERSONS or ORIGINATOR in persons:
        raise FieldInvalid("persons", f"must be 1 to {MAX_PERSONS} references of persons")
    needed = persons | {ORIGINATOR} if from_partner else persons
    return Conversion(state=MACHINE.start, digest=digest, needed=needed)


def consent(conversion: Conversion, who: str, cause: Cause) -> Conversion:
    """Record a consent, or the reason of vital interest that stands in its place.

    Only the partner consents for the originator, and only our officers record what a person said.

    Raises:
        StateConflict: It is not asked for now, or not from whoever gives it.
        FieldInvalid: Nobody of that reference is asked.
    """
    _check_who(conversion, who, cause)
    if conversion.state is not _S.PROPOSED:
        MACHINE.step(conversion.state, _E.CONSENT, cause)
    given = conversion.given | {who}
    state = MACHINE.step(conversion.state, _E.CONSENT, cause) if given == conversion.needed else conversion.state
    return replace(conversion, state=state, given=given)


def revoke(conversion: Conversion, who: str, cause: Cause) -> Conversion:
    """Take a consent back. Without it nothing is converted.

    Raises:
        StateConflict: It is converted already, or over, or it is not for whoever takes it back.
        FieldInvalid: Nobody of that reference is asked.
    """
    _check_who(conversion, who, cause)
    state = conversion.state
    if state is not _S.PROPOSED:
        state = MACHINE.step(state, _E.REVOKE, cause)
    return replace(conversion, state=state, given=conversion.given - {who})


def edit(conversion: Conversion, digest: bytes) -> Conversion:
    """Return the conversion after the request to come has been edited. People consented to another text.

    Raises:
        StateConflict: It is converted already, or over.
    """
    state = MACHINE.step(conversion.state, _E.EDIT, Cause.OFFICER)
    return replace(conversion, state=state, digest=digest, given=frozenset[str]())


def approve(conversion: Conversion, approved: Approved) -> Conversion:
    """Record that officers have approved what is to come of it.

    The release of the referral does not serve: it was of another digest.

    Raises:
        StateConflict: Consent is missing, or something else was approved.
    """
    if approved.digest != conversion.digest:
        raise StateConflict("this is no approval of the request to come: possible is to propose and approve it anew")
    return replace(conversion, state=MACHINE.step(conversion.state, _E.APPROVE, Cause.OFFICER))


def step(conversion: Conversion, event: ConversionEvent, cause: Cause) -> Conversion:
    """Return the conversion after a refusal, a withdrawal or its conversion.

    Raises:
        StateConflict: Not possible now, or not for whoever caused it; the text says what is.
    """
    if event not in {_E.REFUSE, _E.WITHDRAW, _E.CONVERT}:
        raise StateConflict(f"cannot {event.word} by the word alone: possible with what it takes")
    return replace(conversion, state=MACHINE.step(conversion.state, event, cause))


def _check_who(conversion: Conversion, who: str, cause: Cause) -> None:
    if who not in conversion.needed:
        raise FieldInvalid("consent", "must be of a person named, or of the originator")
    if cause is not (Cause.PARTNER if who == ORIGINATOR else Cause.OFFICER):
        speaker = (
            "the partner speaks for the originator" if who == ORIGINATOR else "our officers record what people say"
        )
        raise StateConflict(f"{cause} cannot record this consent: {speaker}")
