"""The list of errors that callers read."""

from gateway.errors import GatewayError
from gateway.rpc.status import CODES
from tests.rules.test_errors import leaves
from tests.rules.tree import ROOT
from tools.error_catalogue import text


def test_catalogue_is_fresh():
    # When this fails: python tools/error_catalogue.py docs/reference/errors.md
    assert (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8") == text()


def test_every_error_is_listed_once():
    rows = [line.split("`")[1] for line in text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted([*(error.reason for error in leaves()), "INTERNAL"])


def test_busy_errors_are_the_ones_to_try_again():
    listed = text().split("## Busy")[1].split("## Broken")[0]
    for error in CODES:
        assert issubclass(error, GatewayError)
        assert (f"`{error.reason}`" in listed) is error.retryable
