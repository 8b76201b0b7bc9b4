"""SQLAlchemy Core statements, compiled once per engine and run on the bare cursor.

Compiling per call costs five times the statement itself. Every execution lets go of the interpreter lock, and with
a busy event loop each time costs up to a switch interval; so many rows go in one statement, in powers of two, and
many keys are looked up in one statement, padded by repeating the last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Table, bindparam, literal_column
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnElement
from sqlalchemy.sql.schema import Column

Engine = Literal["sqlite", "postgresql"]

_DIALECTS: Final[dict[Engine, DefaultDialect]] = {
    "sqlite": SQLiteDialect_pysqlite(paramstyle="qmark"),
    "postgresql": PGDialect_asyncpg(),  # type: ignore[no-untyped-call]
}

SLOTS: Final = (1, 4, 16, 64, 256)
"""Sizes in which lookups are compiled."""
CHUNKS: Final = (64, 32, 16, 8, 4, 2, 1)
"""Sizes in which inserts are compiled; 64 rows of the widest table stay below the 32,766 parameters both take."""


class Compiled(NamedTuple):
    """SQL text, the names of its parameters in order, and constants among them."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, object]


def compile_statement(clause: ClauseElement, engine: Engine) -> Compiled:
    """Return the statement as text for one engine."""
    compiled = clause.compile(dialect=_DIALECTS[engine], compile_kwargs={"render_postcompile": True})
    names = tuple(getattr(compiled, "positiontup", None) or ())
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Compiled(str(compiled), names, constants)


def constant(value: int) -> ColumnElement[int]:
    """Return a number written into the statement: a partial index is only found by a constant."""
    return literal_column(str(int(value)))


class Statement:
    """A statement with named parameters."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[Engine, Compiled] = {}

    def bind(self, engine: Engine, values: Mapping[str, object]) -> tuple[str, tuple[object, ...]]:
        """Return SQL text and parameters."""
        compiled = self._compiled.get(engine)
        if compiled is None:
            compiled = self._compiled[engine] = compile_statement(self._clause, engine)
        sql, names, constants = compiled
        return sql, tuple(values[name] if name in values else constants[name] for name in names)


class Lookup:
    """A statement over many keys, each a value or a tuple of values.

    Args:
        most: Keys in one statement; fewer for one that grows with them, as it is compiled while others wait.
    """

    def __init__(self, build: Callable[[Any], ClauseElement], *columns: Column[Any], most: int = SLOTS[-1]) -> None:
        self._build = build
        self._columns = columns
        self._most = most
        self._compiled: dict[tuple[Engine, int], Compiled] = {}

    def bind(
        self, engine: Engine, keys: Sequence[Any], values: Mapping[str, object]
    ) -> Iterator[tuple[str, tuple[object, ...]]]:
        """Yield SQL text and parameters, more than once for very many keys."""
        for start in range(0, len(keys), self._most):
            part = list(keys[start : start + self._most])
            size = next(slots for slots in SLOTS if slots >= len(part))
            compiled = self._compiled.get((engine, size))
            if compiled is None:
                compiled = self._compiled[engine, size] = self._compile(engine, size)
            part += part[-1:] * (size - len(part))
            bound: dict[str, object] = dict(compiled.constants)
            bound.update(values)
            if len(self._columns) == 1:
                bound.update((f"key_0_{place}", key) for place, key in enumerate(part))
            else:
                bound.update(
                    (f"key_{column}_{place}", item) for place, key in enumerate(part) for column, item in enumerate(key)
                )
            yield compiled.sql, tuple([bound[name] for name in compiled.names])

    def _compile(self, engine: Engine, size: int) -> Compiled:
        def slot(column: int, place: int) -> BindParameter[Any]:
            return bindparam(f"key_{column}_{place}", type_=self._columns[column].type)

        if len(self._columns) == 1:
            return compile_statement(self._build([slot(0, place) for place in range(size)]), engine)
        keys = [tuple(slot(column, place) for column in range(len(self._columns))) for place in range(size)]
        return compile_statement(self._build(keys), engine)


class Insert:
    """Rows into a table, as tuples in the order of its columns."""

    def __init__(
        self, table: Table, *, skip_known: bool = False, replace: Sequence[str] = (), key: Sequence[str] = ()
    ) -> None:
        self._table = table
        self._skip_known = skip_known
        self._replace = replace
        self._key = key
        self._compiled: dict[tuple[Engine, int], str] = {}

    def bind(self, engine: Engine, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[object, ...]]]:
        """Yield SQL text and parameters, in as few statements as the sizes allow."""
        start, left = 0, len(rows)
        while left:
            size = next(chunk for chunk in CHUNKS if chunk <= left)
            sql = self._compiled.get((engine, size))
            if sql is None:
                sql = self._compiled[engine, size] = self._compile(engine, size)
            part = rows[start] if size == 1 else tuple([value for row in rows[start : start + size] for value in row])
            yield sql, part
            start += size
            left -= size

    def _compile(self, engine: Engine, size: int) -> str:
        names = [[f"{column.name}_{place}" for column in self._table.columns] for place in range(size)]
        rows = [
            {column: bindparam(name, type_=column.type) for column, name in zip(self._table.columns, line, strict=True)}
            for line in names
        ]
        # Both write ON CONFLICT the same way, but each dialect compiles only its own construct.
        construct: Any = sqlite_insert if engine == "sqlite" else postgresql_insert
        insert = construct(self._table).values(rows)
        if self._skip_known:
            insert = insert.on_conflict_do_nothing()
        elif self._replace:
            insert = insert.on_conflict_do_update(
                index_elements=list(self._key), set_={name: insert.excluded[name] for name in self._replace}
            )
        compiled = compile_statement(insert, engine)
        if compiled.names != tuple(name for line in names for name in line):
            raise RuntimeError(f"parameters of {self._table.name} are out of order")
        return compiled.sql
