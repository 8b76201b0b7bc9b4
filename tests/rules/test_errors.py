"""The error taxonomy, and the reasons that the protocol promises."""

import re

import pytest

import gateway.errors
from gateway.errors import GatewayError
from tests.rules.tree import files, text


def leaves() -> list[type[GatewayError]]:
    found: list[type[GatewayError]] = []
    waiting: list[type[GatewayError]] = [GatewayError]
    while waiting:
        error = waiting.pop()
        children = error.__subclasses__()
        waiting += children
        if not children and error.__module__ == gateway.errors.__name__:
            found.append(error)
    return sorted(found, key=lambda error: error.__name__)


REASONS = {error.reason for error in leaves()}


def test_every_reason_is_unique():
    reasons = [error.reason for error in leaves()]
    assert sorted(reasons) == sorted(set(reasons))
    assert len(reasons) > 30


def test_every_error_of_the_gateway_is_in_the_taxonomy():
    # Errors that cross a room are all declared in one place; a class elsewhere could have any reason.
    strays = [
        f"{path}:{number}: {line}"
        for path in files()
        if path.suffix == ".py" and path.parts[0] in {"gateway", "adapters"} and path.name != "errors.py"
        for number, line in enumerate(text(path).splitlines(), 1)
        if re.match(r"class \w+\((GatewayError|Rejected|Busy|Broken)\)", line)
    ]
    assert strays == []


@pytest.mark.parametrize("error", leaves(), ids=lambda error: error.__name__)
def test_every_leaf_says_what_why_and_what_to_do(error: type[GatewayError]):
    # AIP-193: UPPER_SNAKE_CASE, at most 63 characters.
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{2,62}", error.reason)
    assert error.advice.endswith(".")
    assert error.advice[0] == "`" or error.advice[0].isupper()
    assert error.__doc__
    assert error.__doc__.split("\n", 1)[0].endswith(".")


def test_families_have_no_reason_of_their_own():
    assert [family.reason for family in (gateway.errors.Rejected, gateway.errors.Busy, gateway.errors.Broken)] == [
        ""
    ] * 3


# --- protocol ----------------------------------------------------------------------------------------------------


def comments() -> list[tuple[str, str, str]]:
    """Return (file, rpc, its own comment and what its service or file says) of every RPC."""
    found = []
    for path in files():
        if path.suffix != ".proto":
            continue
        block: list[str] = []
        header = service = ""
        for line in text(path).splitlines():
            stripped = line.strip()
            if stripped.startswith("//"):
                block.append(stripped.removeprefix("//").strip())
                continue
            joined = " ".join(block)
            if stripped.startswith("package "):
                header = joined
            elif stripped.startswith("service "):
                service = joined
            elif match := re.match(r"rpc (\w+)", stripped):
                found.append((path.name, match.group(1), joined, f"{header} {service}"))
            if stripped:
                block = []
    return found


def test_every_rpc_says_who_may_call_it():
    silent = [
        f"{file}: {rpc}" for file, rpc, own, shared in comments() if not re.search(r"[Cc]allers(:| are)", own + shared)
    ]
    assert len(comments()) > 20
    assert silent == []


def test_every_rpc_has_a_comment():
    assert [f"{file}: {rpc}" for file, rpc, own, _ in comments() if not own] == []


def test_reasons_that_the_protocol_promises_exist():
    unknown = {
        f"{file}: {rpc}: {word}"
        for file, rpc, own, _ in comments()
        for sentence in re.findall(r"Reasons: ([^.]*(?:\.(?=\w)[^.]*)*)", own)
        for word in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b", sentence)
        if word not in REASONS
    }
    assert unknown == set()


def test_reasons_named_beside_fields_exist():
    enums = {
        name
        for path in files()
        if path.suffix == ".proto"
        for name in re.findall(r"^\s*([A-Z0-9_]+) = \d", text(path), re.MULTILINE)
    }
    named = {
        word
        for path in files()
        if path.suffix == ".proto"
        for comment in re.findall(r"//(.*)", text(path))
        for word in re.findall(r"\b[A-Z]{3,}_[A-Z_]+\b", comment)
    }
    assert named - enums - REASONS - {"CONCORD_HOME"} == set()
