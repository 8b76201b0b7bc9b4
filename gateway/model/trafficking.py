"""What speaks for trafficking: Palermo's elements and the block of HTCDS 2.0. Sizes as in referral.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.model.person import Place


class PalermoAct(IntEnum):
    """Palermo Protocol, Article 3 (a): the act."""

    RECRUITMENT = 1
    TRANSPORTATION = 2
    TRANSFER = 3
    HARBOURING = 4
    RECEIPT = 5


class PalermoMeans(IntEnum):
    """Palermo Protocol, Article 3 (a): the means; irrelevant for children."""

    THREAT_OR_FORCE = 1
    COERCION = 2
    ABDUCTION = 3
    FRAUD = 4
    DECEPTION = 5
    ABUSE_OF_POWER = 6
    ABUSE_OF_VULNERABILITY = 7
    PAYMENTS = 8
    """Given or received for the consent of somebody in control of the person."""


class PalermoPurpose(IntEnum):
    """Palermo Protocol, Article 3 (a): the purpose. Forced criminality is what scam compounds are for."""

    SEXUAL_EXPLOITATION = 1
    FORCED_LABOUR = 2
    SLAVERY = 3
    PRACTICES_SIMILAR_TO_SLAVERY = 4
    SERVITUDE = 5
    ORGAN_REMOVAL = 6
    FORCED_CRIMINALITY = 7
    OTHER = 8


class TraffickingStatus(IntEnum):
    """HTCDS 2.0, TraffickingStatus."""

    POSSIBLE_VICTIM_OF_TRAFFICKING = 1
    ACTUAL_VICTIM_OF_TRAFFICKING = 2
    NOT_A_VICTIM_OF_TRAFFICKING = 3


class DecisionMaker(IntEnum):
    """HTCDS 2.0, TraffickingStatusDecisionMakingOrg."""

    POLICE = 1
    NGO = 2
    COURT_OR_PROSECUTION = 3
    NON_POLICE_GOVERNMENTAL_ORGANIZATION = 4
    OTHER = 5


class RecruitmentMethod(IntEnum):
    """HTCDS 2.0, MethodOfRecruitment."""

    AT_A_PLACE_OF_BUSINESS = 1
    AT_AN_EDUCATIONAL_INSTITUTION = 2
    AT_WORK = 3
    THROUGH_ONLINE_SOCIAL_NETWORKS = 4
    THROUGH_AN_ONLINE_ADVERTISEMENT = 5
    THROUGH_A_TELEVISION_ADVERT = 6
    THROUGH_A_NEWSPAPER_ADVERT = 7
    THROUGH_FAMILY_OR_FAMILY_EVENTS = 8
    THROUGH_FRIENDS_OR_SOCIAL_EVENTS = 9
    OTHER = 10


class ControlMethod(IntEnum):
    """HTCDS 2.0, MethodsOfControl."""

    DEBT_BONDAGE = 1
    TAKES_EARNINGS = 2
    RESTRICTS_FINANCIAL_ACCESS = 3
    THREATS = 4
    PSYCHOLOGICAL_ABUSE = 5
    PHYSICAL_ABUSE = 6
    SEXUAL_ABUSE = 7
    FALSE_PROMISES = 8
    PSYCHOACTIVE_SUBSTANCES = 9
    RESTRICTS_MOVEMENT = 10
    RESTRICTS_MEDICAL_CARE = 11
    EXCESSIVE_WORKING_HOURS = 12
    USES_CHILDREN = 13
    THREAT_OF_LAW_ENFORCEMENT = 14
    WITHHOLDS_NECESSITIES = 15
    WITHHOLDS_DOCUMENTS = 16
    OTHER = 17


class ExploitationType(IntEnum):
    """HTCDS 2.0, TypeOfExploitation."""

    FORCED_LABOUR = 1
    SEXUAL_EXPLOITATION = 2
    CHILD_LABOUR = 3
    FORCED_MARRIAGE = 4
    SERVITUDE = 5
    FORCED_MILITARY_BY_NON_STATE_ACTORS = 6
    ORGAN_REMOVAL = 7
    FORCED_BEGGING = 8
    FORCED_ADOPTION = 9
    SURROGACY = 10
    OTHER = 11


class SexExploitationType(IntEnum):
    """HTCDS 2.0, TypeOfSexExploitation."""

    PROSTITUTION = 1
    PORNOGRAPHY = 2
    REMOTE_INTERACTIVE_SERVICES = 3
    PRIVATE_SEXUAL_SERVICES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Trafficking:
    """What speaks for trafficking: Palermo's elements, and the block of HTCDS 2.0 (IOM, CC BY 4.0)."""

    acts: tuple[PalermoAct, ...] = ()
    means: tuple[PalermoMeans, ...] = ()
    purposes: tuple[PalermoPurpose, ...] = ()
    status: TraffickingStatus | None = None
    decided_by: DecisionMaker | None = None
    """Needed with a status."""
    recruitment: tuple[RecruitmentMethod, ...] = ()
    recruitment_sites: tuple[str, ...] = ()
    """Websites and applications."""
    recruitment_place: Place | None = None
    controls: tuple[ControlMethod, ...] = ()
    exploitation: tuple[ExploitationType, ...] = ()
    sex_exploitation: tuple[SexExploitationType, ...] = ()
    industries: tuple[str, ...] = ()
    """Sections of ISIC, A to U."""
    exploitation_place: Place | None = None
