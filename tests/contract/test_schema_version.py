"""An up-to-date database is recognised without alembic; the number that says so is that of the last script."""

import sqlite3
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine

import gateway.store
from gateway.store import open_sqlite
from gateway.store.migrate import HEADS, upgrade

MIGRATIONS = Path(gateway.store.__file__).parent / "migrations"


@pytest.mark.parametrize("room", sorted(HEADS))
def test_head_is_the_last_script(room):
    assert ScriptDirectory(MIGRATIONS / room).get_heads() == [HEADS[room]]


def test_every_room_of_scripts_has_a_head():
    assert set(HEADS) == {path.name for path in MIGRATIONS.iterdir() if (path / "versions").is_dir()}


async def test_database_that_is_up_to_date_opens_without_alembic(tmp_path, monkeypatch):
    await (await open_sqlite(tmp_path)).close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "alembic"]:
        monkeypatch.setitem(sys.modules, name, None)
    await (await open_sqlite(tmp_path)).close()
    # Where there is something to upgrade, it is needed.
    with pytest.raises(ImportError):
        await open_sqlite(tmp_path / "new")


LATER = (
    *("partner_checkpoint", "alert", "alert_wait", "proposal", "decision", "claim"),
    *("attachment", "attachment_use", "attachment_custody", "case_file", "case_step", "case_waiting"),
)


async def test_database_of_the_first_version_gets_what_came_later(tmp_path):
    await (await open_sqlite(tmp_path)).close()
    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("DROP INDEX sent_thread")
        tables = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%log%'"
        ).fetchall()
        for name in [*(name for (name,) in tables), *LATER]:
            database.execute(f"DROP TABLE {name}")
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    await (await open_sqlite(tmp_path)).close()
    with sqlite3.connect(tmp_path / "store.db") as database:
        assert database.execute("SELECT 1 FROM sqlite_master WHERE name = 'sent_thread'").fetchall() == [(1,)]
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEADS["main"],)]
    database.close()


async def test_alerts_in_doubt_go_on_waiting_for_the_name_that_they_waited_for(tmp_path):
    name, plain = b"n" * 16, b"p" * 16
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, "main", to="0004")
    engine.dispose()
    with sqlite3.connect(tmp_path / "store.db") as database:
        row = "INSERT INTO alert VALUES ('th', ?, 0, x'00', 3, 1, ?, '', x'00', 1, 2, x'00', ?, x'', NULL, NULL)"
        database.execute(row, (b"a" * 16, 5, name))
        database.execute(row, (b"b" * 16, 5, b""))
        database.execute(row, (plain, 6, b""))
    database.close()
    await (await open_sqlite(tmp_path)).close()
    with sqlite3.connect(tmp_path / "store.db") as database:
        waits = database.execute("SELECT * FROM alert_wait").fetchall()
    database.close()
    assert waits == [("th", name, 1, b"a" * 16, 2)]
