"""AuditService: the exchange log for auditors and operators."""

from collections.abc import AsyncIterator
from typing import Final

from concord.v1 import audit_service_pb2 as pb

from gateway.errors import FieldInvalid, PageTokenInvalid
from gateway.exchange.check_log import CheckProgress
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.log_keys import signers_of
from gateway.exchange.prove_receipt import ReceiptProver
from gateway.exchange.read_log import LogReader
from gateway.ids import MessageId, PartnerId
from gateway.ports import Finding, LogFilter, LogHead, LogRecord, PartnerCheckpoints, Store
from gateway.rpc.callers import Caller
from gateway.rpc.convert.field import set_time, sized, time_from_proto
from gateway.rpc.convert.view import time_to_proto
from gateway.translog.disclosure import DisclosedEvent, disclose, to_json
from gateway.translog.entry import MAX_ACTOR, EventType, LogEvent, check_text
from gateway.translog.merkle import MAX_SIZE
from gateway.translog.note import parse_note
from gateway.translog.proof import parse_proof
from gateway.translog.tree_head import parse_tree_head


def words_of(kind: EventType) -> str:
    """Return a type as people and filters write it, for example message-released."""
    return kind.name.lower().replace("_", "-")


_TYPES: Final = {words_of(kind): kind for kind in EventType}


class AuditServicer:
    """Shows the log. Who is shown what entries disclose is recorded first."""

    def __init__(self, *, store: Store, keeper: LogKeeper, reading: LogReader, receipts: ReceiptProver) -> None:
        self._store = store
        self._keeper = keeper
        self._reading = reading
        self._receipts = receipts

    async def get_head(self, request: pb.GetHeadRequest, _: Caller) -> pb.GetHeadResponse:
        """Return where a log stands."""
        head = await self._reading.head(request.log)
        ended = await self._reading.ended()
        problem = "" if self._keeper.problem is None else self._keeper.problem.text
        response = pb.GetHeadResponse(
            origin=head.origin,
            size=head.size,
            root=head.root,
            waiting=head.waiting,
            verifier_keys=self._keys(head),
            seen=[
                pb.SeenCheckpoint(
                    partner=item.partner.code,
                    origin=item.origin,
                    size=item.checkpoint.size,
                    time=time_to_proto(item.checkpoint.time_ms),
                    checkpoint=item.checkpoint.note,
                    forked=item.finding is Finding.FORKED,
                    went_back=item.finding is Finding.WENT_BACK,
                )
                for item in await self._store.read(PartnerCheckpoints())
            ],
            problem=next((item.problem for item in ended if item.number == head.number), problem),
            number=head.number,
            ended=[
                pb.EndedLog(
                    number=item.number,
                    origin=item.origin,
                    size=item.size,
                    end_time=time_to_proto(item.end_ms),
                    problem=item.problem,
                    reason=item.reason,
                )
                for item in ended
            ],
            findings=await self._keeper.theirs.findings(),
        )
        if head.checkpoint is not None:
            response.checkpoint = head.checkpoint.note
            response.checkpoint_size = head.checkpoint.size
            set_time(response.checkpoint_time, head.checkpoint.time_ms)
        return response

    def _keys(self, head: LogHead) -> list[str]:
        """Return the keys that verify the newest checkpoint: of keys that were replaced, none it does not need."""
        keys = self._keeper.own_keys(head.origin)
        return [str(key) for key in (keys if head.checkpoint is None else signers_of(head.checkpoint.note, keys))]

    async def search_entries(self, request: pb.SearchEntriesRequest, caller: Caller) -> pb.SearchEntriesResponse:
        """Return a page of entries that match, and how many there are in all."""
        before = _parse_token(request.page_token) if request.page_token else None
        found = await self._reading.search(
            _filter(request),
            page_size=request.page_size,
            before=before,
            actor=caller.principal,
            log=request.log,
        )
        shown = found.records
        return pb.SearchEntriesResponse(
            entries=[_view(record, disclosed=True) for record in shown],
            # Entries below the last one shown: its index is how many there are, so it is the next place to look from.
            next_page_token=f"l1{shown[-1].index}" if found.more else "",
            total=found.total,
            searched=found.searched,
            size=(await self._reading.head(request.log)).size,
        )

    async def list_entries(self, request: pb.ListEntriesRequest, caller: Caller) -> pb.ListEntriesResponse:
        """Return entries in order."""
        if request.first > MAX_SIZE:
            raise FieldInvalid("first", "lies beyond every log")
        records = await self._reading.entries(
            request.first, request.count, disclosed=request.disclose, actor=caller.principal, log=request.log
        )
        return pb.ListEntriesResponse(entries=[_view(record, disclosed=request.disclose) for record in records])

    async def prove_entry(self, request: pb.ProveEntryRequest, caller: Caller) -> pb.ProveEntryResponse:
        """Return a proof of one entry."""
        which = request.WhichOneof("entry")
        if which is None:
            raise FieldInvalid("entry", "name an index or a message_id")
        if which == "message_id" and len(request.message_id) != 16:
            raise FieldInvalid("message_id", "must be 16 bytes")
        if request.index > MAX_SIZE:
            raise FieldInvalid("index", "lies beyond every log")
        if request.partner:
            return await self._prove_receipt(request, caller)
        proved = await self._reading.prove(
            index=request.index if which == "index" else None,
            message_id=request.message_id,
            actor=caller.principal,
            log=request.log,
        )
        note = parse_proof(proved.proof).checkpoint
        keys = signers_of(note, self._keeper.own_keys(parse_tree_head(parse_note(note).text).origin))
        return pb.ProveEntryResponse(
            entry=_view(proved.record, disclosed=True), proof=proved.proof, verifier_keys=[str(key) for key in keys]
        )

    async def _prove_receipt(self, request: pb.ProveEntryRequest, caller: Caller) -> pb.ProveEntryResponse:
        if request.WhichOneof("entry") != "message_id":
            raise FieldInvalid("entry", "is a message_id when a partner is to prove its step")
        proved = await self._receipts.prove(
            PartnerId.parse(request.partner), MessageId(request.message_id), actor=caller.principal
        )
        view = pb.LogEntryView(index=proved.index, leaf=proved.shown.leaf, disclosure=proved.shown.disclosure)
        if proved.event is not None:
            view.step.CopyFrom(_step_view(proved.event))
        return pb.ProveEntryResponse(
            entry=view, proof=proved.shown.proof, verifier_keys=[str(key) for key in proved.keys]
        )

    async def prove_consistency(self, request: pb.ProveConsistencyRequest, _: Caller) -> pb.ProveConsistencyResponse:
        """Return a proof that one tree is a beginning of another."""
        hashes, old_root, new_root = await self._reading.consistency(request.old_size, request.new_size)
        return pb.ProveConsistencyResponse(hashes=hashes, old_root=old_root, new_root=new_root)

    async def get_tile(self, request: pb.GetTileRequest, _: Caller) -> pb.GetTileResponse:
        """Return a tile."""
        if request.number >= 1 << 48:
            raise FieldInvalid("number", "lies beyond every log")
        return pb.GetTileResponse(
            hashes=await self._reading.tile(request.level, request.number, request.width, request.log)
        )

    async def check_log(self, _: pb.CheckLogRequest, __: Caller) -> AsyncIterator[pb.CheckLogResponse]:
        """Compute the log anew."""
        async for progress in self._reading.check():
            yield _progress(progress)


def _progress(progress: CheckProgress) -> pb.CheckLogResponse:
    return pb.CheckLogResponse(
        checked=progress.checked,
        size=progress.size,
        done=progress.done,
        sound=progress.done and not progress.problems,
        problems=progress.problems,
        checkpoints=progress.checkpoints,
        disclosed=progress.disclosed,
        erased=progress.erased,
    )


def _filter(request: pb.SearchEntriesRequest) -> LogFilter:
    unknown = [name for name in request.types if name not in _TYPES]
    if unknown:
        raise FieldInvalid("types", f"has no '{unknown[0][:64]}'; there are {', '.join(sorted(_TYPES))}")
    # No entry holds another text, and PostgreSQL takes none with a zero in it.
    check_text("actor", request.actor, MAX_ACTOR)
    return LogFilter(
        types=tuple(sorted({int(_TYPES[name]) for name in request.types})),
        partner=PartnerId.parse(request.partner).code if request.partner else "",
        actor=request.actor,
        subject=sized(request.message_id, 16, "message_id"),
        thread=sized(request.thread_id, 16, "thread_id"),
        since_ms=time_from_proto(request.since_time, "since_time") if request.HasField("since_time") else None,
        until_ms=time_from_proto(request.until_time, "until_time") if request.HasField("until_time") else None,
    )


def _parse_token(token: str) -> int:
    digits = token.removeprefix("l1")
    if not token.startswith("l1") or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise PageTokenInvalid("the page token was not made by this gateway")
    return int(digits)


def _step_view(event: LogEvent | DisclosedEvent) -> pb.LogStep:
    return pb.LogStep(
        type="" if event.type is None else words_of(event.type),
        time=None if event.time_ms is None else time_to_proto(event.time_ms),
        actor=event.actor or "",
        partner=event.partner or "",
        message_id=event.subject or b"",
        thread_id=event.thread or b"",
        digest=event.digest or b"",
        outcome=event.outcome or "",
        reason=event.reason or "",
        detail=event.detail or "",
    )


def _view(record: LogRecord, *, disclosed: bool) -> pb.LogEntryView:
    view = pb.LogEntryView(index=record.index, leaf=record.leaf)
    event = record.event
    if disclosed and event is not None:
        view.step.CopyFrom(_step_view(event))
        view.disclosure = to_json(disclose(event, record.salts))
    return view
