"""Selectors and accounts: one thing each, in the form that its kind has, with its own check digits where there are any.

A list is closed when nobody can read more into it than stands there: no wildcard, no network, no open end in time.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.measure import Account, Selector, SelectorType
from gateway.model.text import check_identifier

_WILD: Final = frozenset("*%?")
_FORMS: Final[dict[SelectorType, tuple[re.Pattern[str], str]]] = {
    SelectorType.EMAIL: (re.compile(r"[^@\s<>()]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z"), "an address"),
    SelectorType.TELEPHONE: (re.compile(r"\+[1-9][0-9]{6,14}\Z"), "a number of E.164, as in '+6625728442'"),
    SelectorType.DOMAIN: (re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]\Z"), "a name"),
    SelectorType.URL: (re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?\Z"), "an address of http or https"),
    SelectorType.IMEI: (re.compile(r"[0-9]{15}\Z"), "15 digits"),
    SelectorType.IMSI: (re.compile(r"[0-9]{14,15}\Z"), "14 or 15 digits"),
    SelectorType.IBAN: (re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\Z"), "an IBAN without spaces"),
    SelectorType.BANK_ACCOUNT: (re.compile(r"[A-Z0-9]+(?:[/ -][A-Z0-9]+)*\Z"), "an account number"),
    SelectorType.WALLET: (re.compile(r"[A-Za-z0-9:]{16,128}\Z"), "a wallet's address"),
}
_QUERY_LIKE: Final = frozenset({SelectorType.URL})
"""Where a question mark is part of the form."""


def check_selectors(selectors: Sequence[Selector], at: str) -> None:
    """Check a closed list of selectors.

    Raises:
        FieldInvalid: One is of another form, names more than one thing, has no time window, or stands there twice.
    """
    if not selectors:
        raise FieldInvalid(at, "must name what is meant")
    seen: set[tuple[SelectorType, str, int]] = set()
    for index, selector in enumerate(selectors):
        here = f"{at}[{index}]"
        _check_value(selector, f"{here}.value")
        if selector.until_ms <= selector.from_ms:
            raise FieldInvalid(f"{here}.until_time", "must be after from_time")
        key = (selector.selector_type, selector.value, selector.from_ms)
        if key in seen:
            raise FieldInvalid(f"{here}.value", "stands there twice")
        seen.add(key)


def _check_value(selector: Selector, at: str) -> None:
    value, kind = selector.value, selector.selector_type
    check_identifier(value, at)
    if not value:
        raise FieldInvalid(at, "must not be empty")
    wild = _WILD - {"?", "%"} if kind in _QUERY_LIKE else _WILD
    if not wild.isdisjoint(value):
        raise FieldInvalid(at, "has a wildcard; name each thing by itself")
    if kind is SelectorType.IP_ADDRESS:
        _check_address(value, at)
        return
    form = _FORMS.get(kind)
    if form is not None and not form[0].match(value):
        raise FieldInvalid(at, f"must be {form[1]}")
    if kind is SelectorType.IMEI and not _passes_luhn(value):
        raise FieldInvalid(at, "has a wrong check digit")
    if kind is SelectorType.IBAN:
        check_iban(value, at)


def _check_address(value: str, at: str) -> None:
    if "/" in value:
        raise FieldInvalid(at, "is a network; name each address by itself")
    try:
        address = ip_address(value)
    except ValueError:
        raise FieldInvalid(at, "must be an IPv4 or IPv6 address") from None
    if str(address) != value.lower() or address.is_unspecified:
        raise FieldInvalid(at, "must be one address in its usual form")


def _passes_luhn(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def check_iban(value: str, at: str) -> None:
    """Check the check digits of an IBAN (ISO 13616, modulo 97).

    Raises:
        FieldInvalid: They are wrong.
    """
    turned = value[4:] + value[:4]
    if not turned.isascii() or not turned.isalnum() or int("".join(str(int(item, 36)) for item in turned)) % 97 != 1:
        raise FieldInvalid(at, "has wrong check digits")


def check_accounts(accounts: Sequence[Account], at: str) -> None:
    """Check a closed list of accounts.

    Raises:
        FieldInvalid: One is none, is several at once, or stands there twice.
    """
    if not accounts:
        raise FieldInvalid(at, "must name an account")
    seen: set[tuple[str, ...]] = set()
    for index, account in enumerate(accounts):
        here = f"{at}[{index}]"
        if sum(map(bool, (account.iban, account.number, account.wallet))) != 1:
            raise FieldInvalid(here, "must have exactly one of iban, number and wallet")
        if account.iban:
            check_iban(account.iban, f"{here}.iban")
        if account.number and not (account.institution.strip() or account.institution_code):
            raise FieldInvalid(f"{here}.institution", "is needed with an account number")
        if bool(account.wallet) != bool(account.wallet_network):
            raise FieldInvalid(f"{here}.wallet_network", "must be given exactly when a wallet is")
        key = (account.iban, account.number, account.institution_code or account.institution, account.wallet)
        if key in seen:
            raise FieldInvalid(here, "stands there twice")
        seen.add(key)
