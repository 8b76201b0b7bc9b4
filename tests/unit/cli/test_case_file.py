"""Files of cases: what is printed can be read, and what means nothing is refused with its place."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli import case_templates
from gateway.cli.case_file import content_of, content_table, parse
from gateway.cli.failure import Failure
from gateway.errors import FieldInvalid
from gateway.model.content_rules import check_case
from tests.fixtures.cases import REFERRAL, REQUEST
from tests.fixtures.changing import changed

FILE = Path("case.json")


@pytest.mark.parametrize("name", ["referral", "request"])
def test_a_template_is_read_as_what_it_was_made_from_and_breaks_no_rule(name):
    content = getattr(case_templates, name)()
    check_case(content, name)
    assert content_of(content_table(content), name) == content


def test_a_whole_request_comes_out_as_it_went_in():
    plain = changed(REQUEST, "attachments", ())
    assert content_of(content_table(plain), "request") == plain


def test_a_content_may_stand_under_its_name_as_the_inbox_prints_it():
    plain = changed(REFERRAL, "attachments", ())
    assert content_of({"referral": content_table(plain)}, "referral") == plain


def test_toml_is_read_with_its_own_instants():
    table = parse(b'language = "th"\n[hotline]\nfirst_call_time = 2026-11-26T04:00:00Z\n', FILE)
    assert table["hotline"]["first_call_time"] == datetime(2026, 11, 26, 4, tzinfo=UTC)


@pytest.mark.parametrize("data", [b"\xff", b"{", b"= 1", b"{" * 100_000])
def test_what_is_neither_json_nor_toml_is_refused(data):
    with pytest.raises(Failure):
        parse(data, FILE)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dangr_now": "yes"}, "referral.dangr_now"),
        ({"danger_now": "perhaps"}, "referral.danger_now"),
        ({"danger_now": 1}, "referral.danger_now"),
        ({"persons": {}}, "referral.persons"),
        ({"persons": ["p1"]}, "referral.persons[0]"),
        (
            {"hotline": {"call_reference": "1", "calls_merged": 1, "first_call_time": "noon"}},
            "referral.hotline.first_call_time",
        ),
        ({"hotline": {"first_call_time": "2026-11-26T04:00:00"}}, "referral.hotline.first_call_time"),
        ({"evacuation": {"manifest_sha256": "zz"}}, "referral.evacuation.manifest_sha256"),
        ({"language": None}, "referral.language"),
        ({"language": ["th"]}, "referral.language"),
        ({"hotline": {"calls_merged": "many"}}, "referral"),
    ],
)
def test_what_means_nothing_is_refused_with_its_place(change, field):
    table = content_table(case_templates.referral()) | change
    with pytest.raises(FieldInvalid) as caught:
        content_of(table, "referral")
    assert caught.value.field == field
