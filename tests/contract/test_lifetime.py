"""Opening, closing, upgrading: what outlives a process and what is refused, on both engines."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gateway import ports
from gateway.errors import ConfigInvalid, SchemaTooNew, StoreUnavailable
from gateway.model.envelope import Outcome
from gateway.ports import (
    CommitReceived,
    CountMessages,
    Counts,
    EventsSince,
    FindMessage,
    Operation,
    Query,
    SubmissionStatus,
    WaitingEnvelopes,
)
from gateway.store import migrate, open_store
from gateway.store.handlers import ANSWERS, HANDLERS
from gateway.store.tables import KEY_SCHEMA, key_metadata, metadata
from tests.contract.samples import CN, TH, Maker, receipt, receipts, receive, submit


def leaves(kind: Any) -> set[Any]:
    return {leaf for leaf in vars(ports).values() if isinstance(leaf, type) and issubclass(leaf, kind)} - {kind}


def test_every_operation_and_query_of_the_port_has_its_handler():
    assert set(HANDLERS) == leaves(Operation)
    assert set(ANSWERS) == leaves(Query)


async def test_what_was_accepted_is_there_after_a_restart_and_numbers_go_on(engine, make):
    first = await engine.open()
    messages = [make.sealed(TH) for _ in range(3)]
    await first.write(submit(*messages))
    await first.write(receipts(receipt(messages[0].digest)))
    await first.write(receive(make.received(TH)))
    await first.close()
    second = await engine.open()
    again = make.sealed(TH, request_id=messages[1].request_id, request_digest=messages[1].request_digest)
    (result,) = await second.write(submit(again))
    assert (result.status, result.message_id) == (SubmissionStatus.REPEATED, messages[1].message_id)
    newest = make.sealed(TH)
    await second.write(submit(newest))
    await second.write(receive(make.received(TH)))
    items = await second.read(
        WaitingEnvelopes(partner=TH, urgency=newest.urgency, after_sequence=0, max_rows=10, max_bytes=10**7)
    )
    assert [item.message_id for item in items] == [item.message_id for item in (*messages[1:], newest)]
    while await second.write(ports.AssignPositions(max_rows=10)):
        pass
    assert [event.position for event in await second.read(EventsSince(position=0, max_rows=10))] == [1, 2, 3]
    assert await second.read(CountMessages()) == Counts(4, 2, 3)


async def test_closing_finishes_what_is_queued(engine, make):
    store = await engine.open()
    writes = [asyncio.create_task(store.write(submit(make.sealed(TH)))) for _ in range(40)]
    await asyncio.sleep(0)
    await store.close()
    results = await asyncio.gather(*writes)
    assert [result.status for (result,) in results] == [SubmissionStatus.NEW] * 40
    with pytest.raises(StoreUnavailable):
        await store.write(submit(make.sealed(TH)))
    with pytest.raises(StoreUnavailable):
        await store.read(CountMessages())
    await store.close()
    assert await (await engine.open()).read(CountMessages()) == Counts(40, 0, 40)


async def test_caller_that_went_away_does_not_stop_the_others(store, make):
    impatient = asyncio.create_task(store.write(submit(make.sealed(TH))))
    patient = asyncio.create_task(store.write(submit(make.sealed(TH))))
    await asyncio.sleep(0)
    impatient.cancel()
    ((result),) = await patient
    assert result.status is SubmissionStatus.NEW


async def test_bad_operation_in_a_group_harms_no_other_and_tells_nothing(store, make):
    bad = make.received(TH)
    object.__setattr__(bad, "authority", None)
    good = [make.sealed(TH) for _ in range(5)]
    results = await asyncio.gather(
        *(store.write(submit(message)) for message in good[:3]),
        store.write(receive(bad)),
        *(store.write(submit(message)) for message in good[3:]),
        return_exceptions=True,
    )
    failure = results.pop(3)
    assert isinstance(failure, RuntimeError)
    assert failure.__cause__ is None
    assert bad.content_sealed.hex() not in repr(failure)
    assert [result.status for (result,) in results] == [SubmissionStatus.NEW] * 5
    assert await store.read(CountMessages()) == Counts(5, 0, 5)


@pytest.mark.parametrize("time_ms", [2**63, -(2**63) - 1, 2**100])
async def test_number_that_no_column_holds_is_a_mistake_and_harms_nothing(store, make, time_ms):
    message = make.sealed(TH)
    await store.write(submit(message))
    with pytest.raises(RuntimeError):
        await store.write(receipts(receipt(message.digest, time_ms=time_ms)))
    await store.write(receipts(receipt(message.digest)))
    assert (await store.read(CountMessages())).waiting == 0


async def test_text_in_any_script_comes_back_as_it_was(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    # Nothing that cannot be seen: a reason is a code, and the exchange log takes no hidden characters.
    reason = "ေလ້ກ中文'\";--😀"
    await store.write(receipts(receipt(message.digest, Outcome.REFUSED, reason=reason)))
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert delivery.reason == reason


async def test_operation_of_an_unknown_kind_is_refused(store):
    class Strange(Operation[None]):
        pass

    class Odd(Query[None]):
        pass

    with pytest.raises(RuntimeError):
        await store.write(Strange())
    with pytest.raises(RuntimeError):
        await store.read(Odd())


async def test_empty_operations_change_nothing(store):
    assert await store.write(submit()) == ()
    assert await store.write(CommitReceived(sender=TH, messages=(), encapsulations=(), now_ms=0)) == ()
    await store.write(receipts())
    assert await store.read(CountMessages()) == Counts(0, 0, 0)


async def test_many_messages_in_one_operation_pass_every_chunk_size(store):
    maker = Maker(body_bytes=50)
    messages = [maker.sealed(TH) for _ in range(333)]
    results = await store.write(submit(*messages))
    assert {result.status for result in results} == {SubmissionStatus.NEW}
    await store.write(receive(*(maker.received(TH) for _ in range(333))))
    await store.write(receipts(*(receipt(message.digest) for message in messages[:300])))
    assert await store.read(CountMessages()) == Counts(333, 333, 33)
    assert (await store.read(FindMessage(sender=CN, message_id=messages[299].message_id))).deliveries[
        0
    ].state == "received"


async def test_newer_schema_is_refused_and_left_as_it_is(engine, request):
    await (await engine.open()).close()
    if engine.server is None:
        import sqlite3

        path = engine.url.removeprefix("sqlite://") + "/store.db"
        connection = sqlite3.connect(path)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
    else:
        name = make_url(engine.url).database
        ((revision,),) = engine.server.sql("SELECT version_num FROM alembic_version", name)
        engine.server.sql("UPDATE alembic_version SET version_num = '9999'", name)
        request.addfinalizer(lambda: engine.server.sql(f"UPDATE alembic_version SET version_num = '{revision}'", name))
    with pytest.raises(SchemaTooNew):
        await open_store(engine.url)
    with pytest.raises(SchemaTooNew):
        await migrate(engine.url)


async def test_migrations_lead_to_the_tables_of_the_code(engine):
    await migrate(engine.url)

    def differences(connection, wanted, schema=None):
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_schemas": schema is not None,
                "include_name": lambda name, kind, _: kind != "schema" or name == schema,
                "version_table_schema": schema,
            },
        )
        return compare_metadata(context, wanted)

    if engine.server is not None:
        database = create_async_engine(make_url(engine.url).set(drivername="postgresql+asyncpg"))
        async with database.connect() as connection:
            assert await connection.run_sync(differences, metadata) == []
            assert await connection.run_sync(differences, key_metadata, KEY_SCHEMA) == []
        await database.dispose()
        return
    home = engine.url.removeprefix("sqlite://")
    plain = type(metadata)()
    for table in key_metadata.tables.values():
        table.to_metadata(plain, schema=None)
    for name, wanted in (("store.db", metadata), ("keys.db", plain)):
        database = create_engine(f"sqlite:///{home}/{name}")
        with database.connect() as connection:
            assert differences(connection, wanted) == []
        database.dispose()


async def test_migrating_twice_changes_nothing(engine, make):
    store = await engine.open()
    await store.write(submit(make.sealed(TH)))
    await store.close()
    await migrate(engine.url)
    assert await (await engine.open()).read(CountMessages()) == Counts(1, 0, 1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:relative",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/x",
        "sqlite:///x?mode=memory",
        "mysql://x/y",
        "/tmp/x",
    ],
)
async def test_url_that_names_no_engine_is_refused(url):
    with pytest.raises(ConfigInvalid):
        await open_store(url)
    with pytest.raises(ConfigInvalid):
        await migrate(url)


@pytest.mark.postgres
async def test_replica_hears_of_what_another_committed(postgres_server, make):
    url = postgres_server.create_database()
    one, other = await asyncio.gather(open_store(url), open_store(url))
    heard = {topic: asyncio.Event() for topic in ("outbox/th", "events")}
    for topic, event in heard.items():
        other.subscribe(topic, event.set)
    await one.write(submit(make.sealed(TH)))
    await asyncio.wait_for(heard["outbox/th"].wait(), 10)
    assert not heard["events"].is_set()
    await one.write(receive(make.received(TH)))
    await asyncio.wait_for(heard["events"].wait(), 10)
    await one.close()
    await other.close()
