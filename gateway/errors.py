"""The whole error taxonomy.

Errors are typed by what the caller can do about them. Each leaf has one reason, stable on the wire (AIP-193),
and says in words what happened, why, and what to do. Codes of gRPC and exit codes live at the edges. Public
attributes are safe to show to the caller; a text never contains content of a message.
"""

from typing import ClassVar


class GatewayError(Exception):
    """Base of every error that may reach a caller."""

    reason: ClassVar[str] = ""
    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = ""
    """What the caller can do, in one sentence."""

    @property
    def text(self) -> str:
        """What happened, in one sentence, without content of a message."""
        return str(self.args[0]) if self.args else (self.__doc__ or "").split("\n", 1)[0]


class Rejected(GatewayError):
    """The caller's fault: the same call will fail again."""


class Busy(GatewayError):
    """Nobody's fault: the same call may succeed later."""

    retryable = True


class Broken(GatewayError):
    """Something that must never happen has happened: stop and call a person."""


class MessageMalformed(Rejected):
    """The bytes are not what they should be."""

    reason = "MESSAGE_MALFORMED"
    advice = "Check that both sides use the same protocol version."


class FrameMalformed(Rejected):
    """A frame of a link could not be read."""

    reason = "FRAME_MALFORMED"
    advice = "Check that both gateways run a supported version; the link is closed and opened again."


class FieldInvalid(Rejected):
    """A field breaks a rule."""

    reason = "FIELD_INVALID"
    advice = "Correct the field named and send again."

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class MessageTooLarge(Rejected):
    """The input is larger than allowed."""

    reason = "MESSAGE_TOO_LARGE"
    advice = "Send less, or send large files as attachments."

    def __init__(self, what: str, size_bytes: int, max_bytes: int) -> None:
        super().__init__(f"{what} has {size_bytes} bytes; at most {max_bytes} are taken")
        self.max_bytes = max_bytes


class EnvelopeRejected(Rejected):
    """The envelope could not be verified or opened."""

    # One public reason for every failure of cryptography: a finer answer would help an attacker (DESIGN 5).
    reason = "ENVELOPE_REJECTED"
    advice = "The sender seals the message again with current cards; if that fails too, both sides compare cards."

    def __init__(self, step: str) -> None:
        super().__init__("the envelope could not be verified or opened")
        self.step = step
        """Which check failed. For our own log and tests; never sent."""


class AttachmentRejected(Rejected):
    """A file is not the one that was promised."""

    # One public reason for whatever is wrong with a chunk, as for envelopes.
    reason = "ATTACHMENT_REJECTED"
    advice = "Compare size and SHA-256 of the file with those stated, and upload it again under another upload_id."

    def __init__(self, step: str) -> None:
        super().__init__("the file is damaged, incomplete or another one than was stated")
        self.step = step
        """Which check failed. For our own log and tests; never sent."""


class AttachmentPending(Busy):
    """The file of a received message has not arrived yet."""

    reason = "ATTACHMENT_PENDING"
    advice = "Wait: the gateway fetches it by itself; `concord attachment list` shows how far it is."


class AttachmentRefused(Rejected):
    """Files of this size or kind are not taken."""

    reason = "ATTACHMENT_REFUSED"
    advice = (
        "See [attachments] in concord.toml; put what must travel together into one archive of a kind that is taken."
    )


class SuiteUnknown(Rejected):
    """The envelope names a cipher suite this gateway does not know."""

    reason = "SUITE_UNKNOWN"
    advice = "Use a suite that the recipient's card lists."


class KeyRetired(Rejected):
    """The envelope is sealed for a key that the recipient has retired."""

    reason = "KEY_RETIRED"
    advice = "Take the recipient's new card and seal again; the gateway does this by itself."


class EnvelopeExpired(Rejected):
    """The message was past its expiry when it arrived."""

    reason = "EXPIRED"
    advice = "Send it again with a later expiry if it still matters."


class ClockSkewed(Rejected):
    """The message was created too far ahead of this gateway's clock."""

    reason = "CLOCK_SKEWED"
    advice = "Compare both gateways' clocks with UTC."


class MessageIdReused(Rejected):
    """A message with this id but other content is already known."""

    reason = "MESSAGE_ID_REUSED"
    advice = "Give every message an id of its own; if this id is yours, look for a copy of your gateway running twice."


class ModeDiffers(Rejected):
    """The message is of another mode than the thread or the message that it continues."""

    reason = "MODE_DIFFERS"
    advice = "Begin a new thread: actual, exercise and test never share one."


class SupersedesInvalid(Rejected):
    """The message may not take the place of the one that it names."""

    reason = "SUPERSEDES_INVALID"
    advice = "Supersede only what the same authority sent as the same kind; send anything else as a new message."


class RequestIdReused(Rejected):
    """This request_id was used before for another draft."""

    reason = "REQUEST_ID_REUSED"
    advice = "Use a new request_id for a new draft, and the old one only to repeat the old draft."


class PolicyDenied(Rejected):
    """A rule forbids the exchange."""

    reason = "POLICY_DENIED"
    advice = "Read the rules named (`concord policy explain`); `concord policy check` shows the agreements in force."

    def __init__(self, rule_ids: tuple[str, ...], explanation: str) -> None:
        super().__init__(explanation)
        self.rule_ids = rule_ids


class ApprovalRequired(Rejected):
    """Officers must release the message first."""

    reason = "APPROVAL_REQUIRED"
    advice = "Officers decide (`concord decide list`); it leaves when all that is needed have approved it."

    def __init__(self, rule_ids: tuple[str, ...], explanation: str) -> None:
        super().__init__(explanation)
        self.rule_ids = rule_ids


class CallerUnknown(Rejected):
    """The caller is not known to this gateway."""

    reason = "CALLER_UNKNOWN"
    advice = "Check which certificate the client presents and that it is registered here."


class TokenRejected(Rejected):
    """The access token is not accepted."""

    # One public reason: which check failed would tell a thief of tokens what to change.
    reason = "TOKEN_REJECTED"
    advice = "Fetch a new token, bound as this gateway wants it; its operator sees why in `concord partner rejected`."

    def __init__(self, step: str) -> None:
        super().__init__("the access token was not accepted")
        self.step = step
        """Which check failed, in words of ours. For our own log and the list of rejected callers; never sent."""


class MethodNotAllowed(Rejected):
    """This caller may not call this method."""

    reason = "METHOD_NOT_ALLOWED"
    advice = "Use an account whose role allows it."


class MethodUnimplemented(Rejected):
    """The method exists in the protocol but this version does not offer it."""

    reason = "METHOD_UNIMPLEMENTED"
    advice = "Check the release notes for the version that offers it."


class AuthorityNotYours(Rejected):
    """The caller may not speak for this authority."""

    reason = "AUTHORITY_NOT_YOURS"
    advice = "Submit for an authority the calling system is registered for in concord.toml ([[system]])."


class PartnerUnknown(Rejected):
    """There is no such partner here."""

    reason = "PARTNER_UNKNOWN"
    advice = "Add the partner's card: `concord partner add FILE --fingerprint ...`."

    def __init__(self, partner: str) -> None:
        super().__init__(f"no partner '{partner}' is known here")
        self.partner = partner


class PartnerFrozen(Rejected):
    """Exchange with this partner is frozen."""

    reason = "PARTNER_FROZEN"
    advice = "Ask the operator why; `concord partner freeze PARTNER --thaw` resumes."

    def __init__(self, partner: str) -> None:
        super().__init__(f"exchange with '{partner}' is frozen")
        self.partner = partner


class MessagesWait(Rejected):
    """Messages wait for the partner that is to be removed."""

    reason = "MESSAGES_WAIT"
    advice = "Let them be delivered, or give them up: `concord partner remove PARTNER --discard-waiting`."

    def __init__(self, partner: str, count: int) -> None:
        super().__init__(f"{count} {'message waits' if count == 1 else 'messages wait'} for '{partner}'")


class CardRejected(Rejected):
    """A card is not acceptable."""

    reason = "CARD_REJECTED"
    advice = "Ask the partner for its current card and compare the fingerprint by voice."


class FingerprintMismatch(Rejected):
    """The fingerprint given is not the card's."""

    reason = "FINGERPRINT_MISMATCH"
    advice = (
        "Do not add the card: somebody else may have made it. Call the partner on a number you already had, compare "
        "every group, and if it differs still, tell both sides' security officers."
    )


class FingerprintMistyped(Rejected):
    """The fingerprint given is none, or nearly the card's: somebody misheard or mistyped it."""

    reason = "FINGERPRINT_MISTYPED"
    advice = (
        "Nothing was added. Let the partner read it aloud once more, and type what you hear, not what the card says."
    )


class NotFound(Rejected):
    """There is no such thing, or it is not for this caller."""

    reason = "NOT_FOUND"
    advice = "Check the id."


class StateConflict(Rejected):
    """The thing is not in a state that allows this."""

    reason = "STATE_CONFLICT"
    advice = "Read its present state and decide again."


class CursorInvalid(Rejected):
    """The cursor was not made by this gateway."""

    reason = "CURSOR_INVALID"
    advice = "Start without a cursor."


class CursorExpired(Rejected):
    """Events after this cursor are no longer kept."""

    reason = "CURSOR_EXPIRED"
    advice = "Start without a cursor and list what is kept."


class PageTokenInvalid(Rejected):
    """The page token was not made by this gateway for this call."""

    reason = "PAGE_TOKEN_INVALID"
    advice = "Start again without a page token."


class ConfigInvalid(Rejected):
    """The configuration cannot be used."""

    reason = "CONFIG_INVALID"
    advice = "Correct the place named; `concord config check` tests it."


class PolicyNotApplied(Rejected):
    """Agreements and safeguards are not those that two operators have applied."""

    reason = "POLICY_NOT_APPLIED"
    advice = "See `concord policy applied`; two operators run `concord policy apply`, or the files are put back."


class PassphraseWrong(Rejected):
    """The keyring could not be unlocked."""

    reason = "PASSPHRASE_WRONG"
    advice = "Check the credential or passphrase file; the keyring itself is untouched."


class ProofRejected(Rejected):
    """A note, checkpoint, proof or disclosure of an exchange log does not hold."""

    reason = "PROOF_REJECTED"
    advice = (
        "Fetch it again from the log; if it is refused again, keep both copies and call the partner: a log may have "
        "shown two histories."
    )


class QuotaExceeded(Busy):
    """Too much at once from this caller."""

    reason = "QUOTA_EXCEEDED"
    advice = "Wait as long as stated and send again."

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"quota used up; room again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class ConcurrentUpdate(Busy):
    """Somebody else changed the thing at the same moment."""

    reason = "CONCURRENT_UPDATE"
    advice = "Read it again and repeat the whole operation."


class StoreUnavailable(Busy):
    """The database cannot take writes now."""

    reason = "STORE_UNAVAILABLE"
    advice = "Nothing was accepted. Check disk space and the database, then send again."


class PartnerUnreachable(Busy):
    """The partner's gateway does not answer."""

    reason = "PARTNER_UNREACHABLE"
    advice = "Nothing is lost: what waits goes out when it answers. `concord partner test PARTNER` says where it stops."


class GatewayUnreachable(Busy):
    """The gateway does not answer on its socket."""

    reason = "GATEWAY_UNREACHABLE"
    advice = "Start it with `concord up`, or name its home with --home."


class DeadlineTooShort(Busy):
    """The call gave too little time."""

    reason = "DEADLINE_TOO_SHORT"
    advice = "Set a deadline of at least a second."


class StoreCorrupt(Broken):
    """The database is damaged."""

    reason = "STORE_CORRUPT"
    advice = "Stop the gateway, keep the files, restore from the last good copy."


class LogInconsistent(Broken):
    """The exchange log contradicts itself or a checkpoint."""

    reason = "LOG_INCONSISTENT"
    advice = "Keep a copy of the database as it is, restore a good one, or begin another log: `concord log begin`."

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        """Tile, entry or checkpoint at which the first contradiction shows."""


class SchemaTooNew(Broken):
    """The database was written by a newer version."""

    reason = "SCHEMA_TOO_NEW"
    advice = "Run the newer version; this one would damage the data."


class FileUnusable(Rejected):
    """A file of a watched folder cannot be taken as it is."""

    reason = "FILE_UNUSABLE"
    advice = "Put plain files into the folder, readable for the gateway."


class FindingsRefused(Rejected):
    """A source of alerts is configured to take none that breaks the format's rules, and this one does."""

    reason = "FINDINGS_REFUSED"
    advice = "Have the issuer correct the alert, or set `findings` of the connector's source to take it with findings."


class LogRolledBack(Broken):
    """Our exchange log is not the one signed before: an older copy was restored, or two gateways run as one."""

    # Broken for the log, not for the gateway: messages go on, and the log makes no more claims until somebody looks.
    reason = "LOG_ROLLED_BACK"
    advice = "Restore the newest copy of store and keys; if there is none, begin another log: `concord log begin`."


class PartnerLogWentBack(Broken):
    """A partner's log has fewer entries than it once signed: a copy was restored, or two gateways run as one."""

    reason = "PARTNER_LOG_WENT_BACK"
    advice = "Ask the partner which entries it lost. Both checkpoints are kept: `concord log head`."


class LogForked(Broken):
    """A log states two trees that do not grow one out of the other: one of the two statements is false."""

    reason = "LOG_FORKED"
    advice = "Keep both checkpoints: together they are evidence. Ask the partner's auditors, and freeze the partner."


class LeaseLost(Broken):
    """Another replica holds this partner's link now."""

    # Broken for the worker that finds out, not for the gateway: it stops sending at once.
    reason = "LEASE_LOST"
    advice = "Nothing to do: the other replica carries on."
