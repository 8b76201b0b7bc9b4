"""What a log line may carry: listed attributes only, no text of exceptions, nothing long."""

import io
import json
import logging

import pytest
import structlog

from gateway.errors import FieldInvalid
from gateway.telemetry import ALLOWED, allow_listed, configure_logging
from gateway.telemetry.context import to_context
from gateway.telemetry.current import TRACE

SECRET = "Somchai Jaidee, passport AA1234567"


@pytest.fixture
def stream():
    before = structlog.get_config()
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    structlog.configure(**before)


@pytest.fixture
def log(stream):
    return structlog.get_logger("tests")


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fails(name: str) -> None:
    raise FieldInvalid("name", f"'{name}' is not a name")


def test_attribute_that_is_not_listed_is_dropped_and_named(log, stream):
    log.info("message.taken", partner="th", headline=SECRET, body=b"secret")
    (line,) = lines(stream)
    assert (line["event"], line["partner"], line["level"]) == ("message.taken", "th", "info")
    assert line["dropped"] == ["body", "headline"]
    assert set(line) <= ALLOWED | {"dropped"}
    assert SECRET not in stream.getvalue()


def test_line_without_unlisted_attributes_names_none(log, stream):
    log.info("link.connected", partner="th", epoch=3)
    assert "dropped" not in lines(stream)[0]


def test_attribute_bound_earlier_is_held_to_the_list_as_well(log, stream):
    log.bind(officer=SECRET, partner="vn").info("decision.made")
    assert lines(stream)[0]["dropped"] == ["officer"]
    assert SECRET not in stream.getvalue()


def test_attribute_that_calls_itself_dropped_is_no_way_around_the_list(log, stream):
    log.info("message.taken", dropped=SECRET)
    assert lines(stream)[0]["dropped"] == ["dropped"]


HOW = {
    "flag": lambda _: True,
    "instance": lambda error: error,
    "tuple": lambda error: (type(error), error, error.__traceback__),
}


@pytest.mark.parametrize("how", ["exception", *HOW])
def test_exception_keeps_type_and_frames_and_no_text(log, stream, how):
    try:
        fails(SECRET)
    except FieldInvalid as error:
        if how == "exception":
            log.exception("worker.stopped")
        else:
            log.error("worker.stopped", exc_info=HOW[how](error))  # noqa: TRY400 - the other ways to hand it over
    (line,) = lines(stream)
    assert line["error_type"] == "FieldInvalid"
    last = line["frames"].split(" > ")[-1]
    assert (last.split(":")[0], last.split(":")[-1]) == ("test_telemetry.py", "fails")
    assert SECRET not in stream.getvalue()
    assert "exc_info" not in line
    assert "dropped" not in line


def test_deep_trace_keeps_the_frames_nearest_to_the_fault(log, stream):
    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        fails(SECRET)

    try:
        dig(30)
    except FieldInvalid:
        log.exception("worker.stopped")
    frames = lines(stream)[0]["frames"].split(" > ")
    assert len(frames) == 8
    assert frames[-1].endswith(":fails")


def test_exception_logged_where_none_is_raised_does_no_harm(log, stream):
    log.error("worker.stopped", exc_info=HOW["flag"](None))
    (line,) = lines(stream)
    assert line["event"] == "worker.stopped"
    assert "error_type" not in line


def test_long_value_is_cut(log, stream):
    log.info("caller.rejected", reason="x" * 10_000, peer="y" * 512)
    (line,) = lines(stream)
    assert line["reason"] == "x" * 512 + "..."
    assert line["peer"] == "y" * 512


def test_numbers_stay_numbers_and_everything_else_becomes_text():
    fields = {"count": 3, "duration_ms": 0.5, "step": True, "reason": None, "kind": ["a"], "path": b"\xff"}
    assert allow_listed(None, "info", dict(fields)) == {**fields, "kind": "['a']", "path": "b'\\xff'"}


def test_line_break_in_a_value_does_not_make_a_second_line(log, stream):
    log.warning("caller.rejected", reason='a\n{"event": "forged"}\x1b[2J')
    (line,) = lines(stream)
    assert line["event"] == "caller.rejected"
    assert "\x1b" not in stream.getvalue()


def test_what_is_below_the_level_is_not_written(stream):
    configure_logging(stream, logging.WARNING)
    structlog.get_logger("tests").info("message.taken")
    assert not stream.getvalue()


def test_line_of_a_sampled_call_names_its_trace_and_others_name_none(log, stream):
    log.info("call.refused", request_id="1")
    token = TRACE.set(to_context(0xAB, 0xCD))
    try:
        log.info("call.refused", request_id="2")
    finally:
        TRACE.reset(token)
    plain, sampled = lines(stream)
    assert "trace_id" not in plain
    assert (sampled["trace_id"], sampled["span_id"]) == ("00" * 15 + "ab", "00" * 7 + "cd")
