"""Bringing a database to the schema of this code, and refusing one that is ahead of it.

Migrations are alembic scripts, run from here without an ini file. A whole upgrade is one transaction on both
engines, so that dying in the middle leaves the old schema. The key store has scripts and a version of its own.
Alembic is imported only when there is something to upgrade: it costs a third of a second of every start.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Connection, inspect, text

from gateway.errors import SchemaTooNew

if TYPE_CHECKING:
    from alembic.config import Config

Room = Literal["main", "keys"]
HEADS: Final[dict[Room, str]] = {"main": "0009", "keys": "0002"}
"""The last scripts, so that a database that is up to date is recognised without alembic."""
_SCRIPTS: Final = Path(__file__).parent / "migrations"
_VERSIONS: Final = "alembic_version"


def upgrade(connection: Connection, room: Room, version_schema: str | None = None, *, to: str = "head") -> None:
    """Upgrade one of the two rooms, inside the connection's transaction.

    Args:
        to: The script to stop after; for tests of those behind it.

    Raises:
        SchemaTooNew: The database has a revision that this code does not know.
    """
    if _revisions(connection, version_schema) == {HEADS[room]}:
        return
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = _config(room)
    scripts = ScriptDirectory.from_config(config)
    options: dict[str, Any] = {"connection": connection, "transactional_ddl": True}
    if version_schema is not None:
        options["version_table_schema"] = version_schema
    current = MigrationContext.configure(connection, opts=options).get_current_heads()
    for revision in current:
        try:
            known = scripts.get_revision(revision) is not None
        except CommandError:
            known = False
        if not known:
            raise SchemaTooNew(f"the {room} schema is of revision {revision}, which this version does not know")
    if set(current) == set(scripts.get_heads()):
        return
    with EnvironmentContext(config, scripts) as environment:
        environment.configure(**options, fn=lambda revision, _: scripts._upgrade_revs(to, revision))  # noqa: SLF001
        environment.run_migrations()


def _revisions(connection: Connection, version_schema: str | None) -> set[str]:
    if not inspect(connection).has_table(_VERSIONS, schema=version_schema):
        return set()
    name = _VERSIONS if version_schema is None else f"{version_schema}.{_VERSIONS}"
    return {str(revision) for (revision,) in connection.execute(text(f"SELECT version_num FROM {name}"))}  # noqa: S608


def _config(room: Room) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS / room))
    return config
