"""Which handler takes which operation or query. One that is missing here is refused, and a test compares."""

from collections.abc import Sequence
from typing import Any, Final

from gateway import ports
from gateway.store import (
    alert_marks,
    alerts,
    attachment_reading,
    attachments,
    cases,
    events,
    held,
    leases,
    log,
    log_begin,
    log_pruning,
    log_reading,
    partner_logs,
    partners,
    receipts,
    receiving,
    sending,
    submissions,
    targets,
    threads,
    views,
)
from gateway.store.transaction import Answer, Handler, Transaction, one_by_one

HANDLERS: Final[dict[type[ports.Operation[Any]], Handler]] = {
    ports.CommitSubmissions: submissions.commit_submissions,
    ports.HoldDraft: one_by_one(held.hold_draft),
    ports.ChangeHeld: one_by_one(held.change_held),
    ports.ClaimHeld: one_by_one(held.claim_held),
    ports.CommitReceived: receiving.commit_received,
    ports.MarkAlert: one_by_one(alert_marks.mark_alert),
    ports.PassTime: one_by_one(cases.pass_time),
    ports.CommitReceipts: receipts.commit_receipts,
    ports.ReplaceEnvelope: one_by_one(sending.replace_envelope),
    ports.BuryEnvelopes: one_by_one(receipts.bury_envelopes),
    ports.TakeLease: one_by_one(leases.take_lease),
    ports.DropLease: one_by_one(leases.drop_lease),
    ports.FreeHeld: one_by_one(receiving.free_held),
    ports.AcknowledgeReceived: one_by_one(receiving.acknowledge_received),
    ports.DropWaitingReceipts: one_by_one(receiving.drop_waiting_receipts),
    ports.AssignPositions: one_by_one(events.assign_positions),
    ports.EraseMessage: one_by_one(views.erase_message),
    ports.BeginUpload: one_by_one(attachments.begin_upload),
    ports.KeepAttachment: one_by_one(attachments.keep_attachment),
    ports.RefuseAttachment: one_by_one(attachments.refuse_attachment),
    ports.NoteCustody: one_by_one(attachments.note_custody),
    ports.TakeWanted: one_by_one(attachments.take_wanted),
    ports.PostponeWanted: one_by_one(attachments.postpone_wanted),
    ports.EndUpload: one_by_one(attachments.end_upload),
    ports.NoteErased: one_by_one(attachments.note_erased),
    ports.PutCard: one_by_one(partners.put_card),
    ports.FreezePartner: one_by_one(partners.freeze_partner),
    ports.RemovePartner: one_by_one(partners.remove_partner),
    ports.NoteSuccess: one_by_one(partners.note_success),
    ports.StoreKeys: submissions.store_keys,
    ports.AppendLog: log.append_log,
    ports.OpenLog: one_by_one(log.open_log),
    ports.EraseDisclosure: one_by_one(log.erase_disclosure),
    ports.KeepPartnerCheckpoint: one_by_one(partner_logs.keep_partner_checkpoint),
    # After everything that enqueues, so that what shares the commit is in the tree with it.
    ports.IntegrateLog: one_by_one(log.integrate_log),
    ports.CondemnLog: one_by_one(log_begin.condemn_log),
    ports.BeginLog: one_by_one(log_begin.begin_log),
    ports.PruneCheckpoints: one_by_one(log_pruning.prune_checkpoints),
    ports.CommitCheckpoint: one_by_one(log.commit_checkpoint),
}
"""In the order in which kinds are applied within a commit."""

ANSWERS: Final[dict[type[ports.Query[Any]], Answer]] = {
    ports.WaitingEnvelopes: sending.waiting_envelopes,
    ports.ExpiringEnvelopes: sending.expiring_envelopes,
    ports.EnvelopesFor: sending.envelopes_for,
    ports.ThreadHeads: submissions.thread_heads,
    ports.SentSecrets: sending.sent_secrets,
    ports.WaitingFollower: sending.waiting_follower,
    ports.QueueSummaries: sending.queue_summaries,
    ports.QueueDepths: sending.queue_depths,
    ports.CountUnacknowledged: targets.count_unacknowledged,
    ports.FindAlerts: alerts.find_alerts,
    ports.FindCases: cases.find_cases,
    ports.ListCases: cases.list_cases,
    ports.CaseHistory: cases.case_history,
    ports.KnownThreads: threads.known_threads,
    ports.KnownMessages: receiving.known_messages,
    ports.WaitingReceipts: receiving.waiting_receipts,
    ports.EventsSince: events.events_since,
    ports.EventRange: events.event_range,
    ports.FindMessage: views.find_message,
    ports.ListMessages: views.list_messages,
    ports.CountMessages: views.count_messages,
    ports.FindRequest: submissions.find_request,
    ports.FindAttachments: attachment_reading.find_attachments,
    ports.FindUpload: attachment_reading.find_upload,
    ports.AttachmentBytes: attachment_reading.attachment_bytes,
    ports.NamedAttachments: attachment_reading.named_attachments,
    ports.OldUploads: attachment_reading.old_uploads,
    ports.ErasingAttachments: attachment_reading.erasing_attachments,
    ports.ReadCustody: attachment_reading.read_custody,
    ports.FindHeld: held.find_held,
    ports.ListHeld: held.list_held,
    ports.DueHeld: held.due_held,
    ports.Partners: partners.partners,
    ports.ReadLogHead: log_reading.read_log_head,
    ports.ProveInclusion: log_reading.prove_inclusion,
    ports.ProveConsistency: log_reading.prove_consistency,
    ports.RootAt: log_reading.root_at,
    ports.ReadTile: log_reading.read_tile,
    ports.ReadLog: log_reading.read_log,
    ports.SearchLog: log_reading.search_log,
    ports.Checkpoints: log_reading.checkpoints,
    ports.EndedLogs: log_begin.ended_logs,
    ports.PartnerLogsBegun: partner_logs.partner_logs_begun,
    ports.PartnerCheckpoints: partner_logs.partner_checkpoints,
}


GROUP_OPERATIONS: Final = 256
GROUP_BYTES: Final = 1 << 20
"""Some 600 messages of 1 kB, which take 30 ms to write: longer would make others wait."""
_ROW_BYTES: Final = 700
"""What a row costs beside its content, nearly."""


def weigh(operation: ports.Operation[Any]) -> int:
    """Return nearly how many bytes an operation writes, to bound a group."""
    if isinstance(operation, ports.CommitSubmissions | ports.CommitReceived):
        return sum(len(message.content_sealed) + _ROW_BYTES for message in operation.messages)
    if isinstance(operation, ports.HoldDraft):
        return len(operation.draft.body_sealed) + _ROW_BYTES
    if isinstance(operation, ports.CommitReceipts):
        return len(operation.receipts) * _ROW_BYTES
    return _ROW_BYTES


def apply_all(tx: Transaction, operations: Sequence[ports.Operation[Any]]) -> list[Any]:
    """Apply operations that share a commit, kind by kind; return a result or LeaseLost for each, in their order."""
    results: list[Any] = [None] * len(operations)
    for kind, handler in HANDLERS.items():
        places = [place for place, operation in enumerate(operations) if type(operation) is kind]
        if places:
            answers = handler(tx, [operations[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                results[place] = answer
    return results
