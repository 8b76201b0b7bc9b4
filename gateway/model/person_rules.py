"""Rules for persons and places: names, dates, documents, telephones, and on what ground a person is spoken of."""

import re
import unicodedata
from datetime import date, timedelta
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.calendars import check_date, gregorian_span
from gateway.model.person import (
    Consent,
    MinorState,
    MrzCheck,
    NameOrder,
    Person,
    PersonName,
    PersonRole,
    Place,
    TravelDocument,
)
from gateway.model.person import DocumentHolder as Holder
from gateway.model.states import is_state_code
from gateway.model.travel_document import read_zone

SUBJECT_ROLES: Final = frozenset({PersonRole.SUBJECT, PersonRole.VICTIM, PersonRole.PRESUMED_VICTIM})
"""Whom a referral is for."""
_LETTERS: Final = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Hang": ("HANGUL",),
    "Hani": ("CJK",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Khmr": ("KHMER",),
    "Kore": ("HANGUL", "CJK"),
    "Laoo": ("LAO",),
    "Latn": ("LATIN", "FULLWIDTH LATIN"),
    "Mong": ("MONGOLIAN",),
    "Mymr": ("MYANMAR",),
    "Taml": ("TAMIL",),
    "Thai": ("THAI",),
    "Tibt": ("TIBETAN",),
}
"""How Unicode's names of a script's letters begin: a letter of another script in a name is a look-alike."""
_JOINED: Final = frozenset({"Arab", "Beng", "Deva", "Khmr", "Laoo", "Mong", "Mymr", "Taml", "Thai", "Tibt", "Zzzz"})
"""Scripts whose names need joiners (U+200C, U+200D) or zero-width spaces (U+200B)."""
_JOINERS: Final = frozenset("\u200b\u200c\u200d")
_A_DAY: Final = timedelta(days=1)
_NO_LINE: Final = re.compile(r"[\t\r\n]")
_LOOSE: Final = re.compile(r"[A-Z0-9]")


def check_person(person: Person, at: str) -> None:
    """Check one person by itself.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    for index, name in enumerate(person.names):
        _check_name(name, f"{at}.names[{index}]")
    if person.birth_date is not None:
        check_date(person.birth_date, f"{at}.birth_date")
    if person.age is not None and person.age.from_years > person.age.to_years:
        raise FieldInvalid(f"{at}.age.to_years", "is less than from_years")
    for field in ("nationalities", "feared_states"):
        for index, code in enumerate(getattr(person, field)):
            if not is_state_code(code):
                raise FieldInvalid(f"{at}.{field}[{index}]", "is no code of ICAO Doc 9303, as in 'THA' or 'XXA'")
    for index, document in enumerate(person.documents):
        _check_document(document, f"{at}.documents[{index}]")
    if person.consent is not None:
        _check_consent(person.consent, f"{at}.consent")
    for index, place in enumerate(person.places):
        check_place(place, f"{at}.places[{index}]")


def check_persons(persons: tuple[Person, ...], at: str) -> frozenset[str]:
    """Check persons together; return their references.

    Raises:
        FieldInvalid: A rule is broken, or two have one reference.
    """
    seen: set[str] = set()
    for index, person in enumerate(persons):
        if person.reference in seen:
            raise FieldInvalid(f"{at}[{index}].reference", "is that of another person too")
        seen.add(person.reference)
        check_person(person, f"{at}[{index}]")
    return frozenset(seen)


def check_ground(person: Person, at: str) -> None:
    """Check that a person may be spoken of: by consent that was not withdrawn, or for a vital interest.

    Raises:
        FieldInvalid: Neither.
    """
    if person.vital_interest is not None:
        return
    if person.consent is None:
        raise FieldInvalid(f"{at}.consent", "is needed, or a vital_interest with its reason")
    if person.consent.withdraw_ms is not None:
        raise FieldInvalid(f"{at}.consent.withdraw_time", "was given: without consent only a vital_interest remains")


def check_born(person: Person, today: date, at: str) -> None:
    """Check that a person was born.

    Raises:
        FieldInvalid: The whole of what the date of birth can mean lies after today; or the person is said to be
            under 18 or not, and the date of birth says otherwise. Today is that of UTC.
    """
    span = gregorian_span(person.birth_date) if person.birth_date is not None else None
    if span is None:
        return
    # Somewhere on Earth it is a day later or earlier than in UTC: what can be true anywhere is taken.
    earliest, latest = today - _A_DAY, today + _A_DAY
    if span[0] > latest:
        raise FieldInvalid(f"{at}.birth_date", "lies in the future")
    if person.minor is MinorState.NO and _eighteenth(span[0]) > latest:
        raise FieldInvalid(f"{at}.minor", "is NO, but by the date of birth the person is under 18; say DISPUTED")
    if person.minor is MinorState.YES and _eighteenth(span[1]) <= earliest:
        raise FieldInvalid(f"{at}.minor", "is YES, but by the date of birth the person is 18; say DISPUTED")


def _eighteenth(born: date) -> date:
    # Who was born on 29 February is 18 on 1 March: on 28 February the year is not yet over.
    leap = born.month == 2 and born.day == 29
    return date(born.year + 18, 3, 1) if leap else born.replace(year=born.year + 18)


def check_place(place: Place, at: str) -> None:
    """Check a place.

    Raises:
        FieldInvalid: It says nothing, says a point and a cell, or a point without its accuracy.
    """
    if not (place.description.strip() or place.country or place.locode or place.point or place.cell):
        raise FieldInvalid(at, "must say where: in words, by a code, a point or a cell")
    if place.country and not is_state_code(place.country):
        raise FieldInvalid(f"{at}.country", "is no code of ICAO Doc 9303, as in 'THA'")
    if place.point is not None:
        if place.cell:
            raise FieldInvalid(f"{at}.cell", "must be empty beside a point: a place is exact or coarse, not both")
        if not (-90 <= place.point.latitude <= 90 and -180 <= place.point.longitude <= 180):
            raise FieldInvalid(f"{at}.point", "is outside latitude -90..90 or longitude -180..180")
        if place.accuracy_m is None:
            raise FieldInvalid(f"{at}.accuracy_m", "is needed with a point")
    if place.accuracy_m is not None and place.point is None:
        raise FieldInvalid(f"{at}.accuracy_m", "belongs to a point")
    if place.cell:
        _check_cell(place.cell, f"{at}.cell")


def _check_cell(cell: str, at: str) -> None:
    """H3: 4 bits of mode, 3 reserved, 4 of resolution, 7 of base cell, then three bits for each resolution."""
    try:
        value = int(cell, 16)
    except ValueError:
        value = 0
    resolution, base = value >> 52 & 0xF, value >> 45 & 0x7F
    digits = [value >> 3 * (15 - level) & 7 for level in range(1, 16)]
    used, rest = digits[:resolution], digits[resolution:]
    well_formed = len(cell) == 15 and value >> 56 == 0x8 and base < 122 and 7 not in used and set(rest) <= {7}
    if not well_formed:
        raise FieldInvalid(at, "is no H3 cell index of 15 hexadecimal digits")
    if resolution > 7:
        raise FieldInvalid(at, "is finer than resolution 7 (5 square kilometres): give its parent, or a point")


def _check_name(name: PersonName, at: str) -> None:
    for field in ("full", "family", "given"):
        text = getattr(name, field)
        if text is not None:
            _check_name_text(text, name.script, f"{at}.{field}")
    parts = name.family is not None or name.given is not None
    if name.order is NameOrder.SINGLE and parts:
        raise FieldInvalid(f"{at}.order", "is SINGLE, so the name has no parts")
    if parts and name.order is None:
        raise FieldInvalid(f"{at}.order", "is needed when a name has parts")


def _check_name_text(text: str, script: str, at: str) -> None:
    if not text.strip() or text != text.strip():
        raise FieldInvalid(at, "is empty, or begins or ends with white space")
    if _NO_LINE.search(text):
        raise FieldInvalid(at, "must be one line; give each name by itself")
    if not unicodedata.is_normalized("NFC", text):
        raise FieldInvalid(at, "is not in Unicode normal form C, so that equal names would look unequal to programs")
    letters = _LETTERS.get(script)
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if category in {"Cf", "Cc", "Co", "Cs", "Zl", "Zp", "Cn"} and not (character in _JOINERS and script in _JOINED):
            raise FieldInvalid(at, f"has an invisible character (U+{ord(character):04X}) at character {position}")
        if letters and category in {"Lu", "Ll", "Lt", "Lo"}:
            named = unicodedata.name(character, "")
            if not named.startswith(letters):
                raise FieldInvalid(
                    at, f"has a letter that is not of script {script} (U+{ord(character):04X}) at character {position}"
                )


def _check_document(document: TravelDocument, at: str) -> None:
    if not document.document_type and not document.description.strip():
        raise FieldInvalid(f"{at}.description", "is needed for a document without a type of ICAO Doc 9303")
    if not is_state_code(document.issuer):
        raise FieldInvalid(f"{at}.issuer", "is no code of ICAO Doc 9303, as in 'THA'")
    if document.holder is Holder.NEVER_ISSUED and (document.number or document.mrz):
        raise FieldInvalid(f"{at}.holder", "is NEVER_ISSUED, but the document has a number")
    if document.expiry is not None:
        check_date(document.expiry, f"{at}.expiry")
    if not document.mrz:
        if document.mrz_check is not MrzCheck.NOT_READ:
            raise FieldInvalid(f"{at}.mrz_check", "must be NOT_READ without a machine-readable zone")
        return
    zone = read_zone(document.mrz, f"{at}.mrz")
    found = MrzCheck.FAILED if zone.wrong else MrzCheck.PASSED
    if document.mrz_check is not found:
        wrong = f" ({', '.join(zone.wrong)})" if zone.wrong else ""
        raise FieldInvalid(f"{at}.mrz_check", f"must be {found.name}: that is what the check digits say{wrong}")
    if found is MrzCheck.FAILED:
        return
    # A zone whose digits agree is more certain than what was typed beside it.
    for field, said, read in (
        ("document_type", document.document_type, zone.document_type),
        ("issuer", document.issuer, zone.issuer),
        ("number", "".join(_LOOSE.findall(document.number)), zone.number.replace("<", "")),
    ):
        if said and said != read:
            raise FieldInvalid(f"{at}.{field}", "differs from the machine-readable zone")


def _check_consent(consent: Consent, at: str) -> None:
    if consent.withdraw_ms is not None and consent.withdraw_ms < consent.give_ms:
        raise FieldInvalid(f"{at}.withdraw_time", "is before give_time")
