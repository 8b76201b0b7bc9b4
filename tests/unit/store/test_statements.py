"""Statements compile for both engines, go through an index, and bind what they are given in the right places."""

import inspect
import sqlite3
from importlib import import_module

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, select

from gateway.store import tables, threads
from gateway.store.sqlite_home import attach_keys, connect, migrate_files
from gateway.store.statement import CHUNKS, SLOTS, Insert, Lookup, Statement, compile_statement, constant

MODULES = (
    "submissions", "sending", "leases", "alert_rows", "targets", "receipts", "receiving", "events", "views", "threads",
    "partners",    "sqlite_transaction", "postgres_transaction",
)  # fmt: skip


def found():
    for module in MODULES:
        for name, value in vars(import_module(f"gateway.store.{module}")).items():
            if isinstance(value, Statement | Lookup | Insert):
                yield pytest.param(value, id=f"{module}.{name}")
            elif isinstance(value, dict):
                for key, item in value.items():
                    if isinstance(item, Statement):
                        yield pytest.param(item, id=f"{module}.{name}.{key}")


ALL = list(found())


def text(statement, engine, size=4):
    if isinstance(statement, Statement):
        return compile_statement(statement._clause, engine).sql
    compiled = statement._compile(engine, size)
    return compiled if isinstance(compiled, str) else compiled.sql


def test_there_are_statements_to_look_at():
    assert len(ALL) > 50


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize("statement", ALL)
def test_statement_compiles_for_both_engines(statement, engine):
    sql = text(statement, engine)
    assert "POSTCOMPILE" not in sql
    assert ":" not in sql.replace("::", "")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    migrate_files(home)
    connection = connect(home / "store.db", "ro")
    attach_keys(connection, home, "ro")
    yield connection
    connection.close()


SMALL = {"partner", "card_signature", "event_waiting"}
"""Tables that are read whole: as many rows as there are partners, or what one call takes from a queue."""
COVERED = {"COUNT_SENT", "COUNT_RECEIVED"}
"""Counts read a whole index, and no row."""


@pytest.mark.parametrize(
    "statement",
    [case for case in ALL if not isinstance(case.values[0], Insert) and "postgres" not in case.id],
)
def test_no_statement_reads_a_large_table_through(statement, database, request):
    sql = text(statement, "sqlite")
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    partial = (
        "outbox_queue",
        "outbox_expiry",
        "outbox_thread",
        "outbox_dead",
        "received_held",
        "acknowledgement_queue",
    )
    for step in plan:
        words = step.split()
        if words[0] != "SCAN" or words[1] not in tables.metadata.tables or words[1] in SMALL:
            continue
        covered = "COVERING INDEX" in step and any(name in request.node.name for name in COVERED)
        assert covered or words[-1] in partial, step


def test_the_mode_of_a_thread_is_found_by_single_steps_down_an_index(database):
    sql = text(threads.MODES, "sqlite")
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    searches = [step for step in plan if step not in ("SCAN CONSTANT ROW", "COMPOUND QUERY")]
    assert not [step for step in searches if step.startswith("SCAN") or "TEMP B-TREE" in step]
    assert any("USING INDEX sent_thread (thread_id=?)" in step for step in plan)


TOY = Table("toy", MetaData(), Column("id", Integer, primary_key=True), Column("a", String), Column("b", LargeBinary))


@pytest.fixture
def toy():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE toy (id INTEGER PRIMARY KEY, a TEXT, b BLOB)")
    yield connection
    connection.close()


def insert(connection, statement, rows):
    executed = 0
    for sql, parameters in statement.bind("sqlite", rows):
        connection.execute(sql, parameters)
        executed += 1
    return executed


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 127, 200])
def test_rows_of_any_number_arrive_whole_and_in_place(toy, count):
    rows = [(place, f"a{place}", bytes([place % 256])) for place in range(count)]
    executed = insert(toy, Insert(TOY), rows)
    assert executed == count // CHUNKS[0] + (count % CHUNKS[0]).bit_count()
    assert toy.execute("SELECT * FROM toy ORDER BY id").fetchall() == rows


def test_known_rows_are_skipped_or_replaced_as_asked(toy):
    insert(toy, Insert(TOY), [(1, "old", b"")])
    insert(toy, Insert(TOY, skip_known=True), [(1, "new", b""), (2, "new", b"")])
    assert toy.execute("SELECT a FROM toy ORDER BY id").fetchall() == [("old",), ("new",)]
    insert(toy, Insert(TOY, key=("id",), replace=("a",)), [(1, "newer", b"x")])
    assert toy.execute("SELECT a, b FROM toy WHERE id = 1").fetchall() == [("newer", b"")]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 64, 65, SLOTS[-1], SLOTS[-1] + 1, 3 * SLOTS[-1]])
def test_keys_of_any_number_are_looked_up_once_each(toy, count):
    insert(toy, Insert(TOY), [(place, "a", b"") for place in range(2000)])
    lookup = Lookup(lambda keys: select(TOY.c.id).where(TOY.c.id.in_(keys)), TOY.c.id)
    seen = []
    for sql, parameters in lookup.bind("sqlite", list(range(count)), {}):
        seen += [row[0] for row in toy.execute(sql, parameters)]
    assert sorted(seen) == list(range(count))


def test_constant_is_written_into_the_statement():
    compiled = compile_statement(select(TOY.c.id).where(TOY.c.id == constant(7)), "sqlite")
    assert compiled.names == ()
    assert "= 7" in compiled.sql


def test_missing_parameter_is_an_error_and_not_null():
    from sqlalchemy import bindparam

    statement = Statement(select(TOY.c.id).where(TOY.c.id == bindparam("which")))
    with pytest.raises(KeyError):
        statement.bind("sqlite", {})


def test_places_leave_room_for_every_recipient_and_outcome():
    from gateway.model.envelope import Outcome

    assert tables.RECIPIENTS > 26 * 26
    assert max(Outcome) < tables.RUNGS


def test_every_public_function_of_the_room_has_a_docstring():
    for module in MODULES:
        for name, value in vars(import_module(f"gateway.store.{module}")).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                assert value.__doc__, name
