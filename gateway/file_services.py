"""Puts together what moves the files beside messages."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config import Config
from gateway.errors import ConfigInvalid
from gateway.exchange.attached import AttachmentRules
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.fetch_attachment import FetchService
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.read_attachment import AttachmentReader
from gateway.exchange.reader import MessageReader
from gateway.exchange.upload_attachment import UploadService
from gateway.ports import Carrier, Codec, LinkIdentity, Store
from gateway.store.attachment_files import DirectoryFiles
from gateway.workers.attachments import UrgentFirst


@dataclass(frozen=True, slots=True, kw_only=True)
class FileServices:
    """What moves the files beside messages."""

    uploads: UploadService
    reader: AttachmentReader
    fetch: FetchService


def file_services(
    config: Config,
    *,
    store: Store,
    codec: Codec,
    clock: Clock,
    keys: KeyHolder,
    pool: KeyPool,
    reader: MessageReader,
    directory: PartnerDirectory,
    carrier: Carrier,
    identity: Callable[[], LinkIdentity],
) -> FileServices:
    """Make every part; nothing runs yet.

    Raises:
        ConfigInvalid: There is no directory for files.
    """
    section = config.attachments
    if section.directory is None:
        raise ConfigInvalid("attachments.directory is not set")
    rules = AttachmentRules(
        max_bytes=section.max_mb << 20,
        total_bytes=section.total_mb << 20,
        keep_free_bytes=section.keep_free_mb << 20,
        media_types=frozenset(section.media_types),
    )
    files = DirectoryFiles(section.directory)
    urgent = UrgentFirst(store)
    return FileServices(
        uploads=UploadService(store=store, files=files, clock=clock, keys=keys, pool=pool, rules=rules),
        reader=AttachmentReader(
            store=store,
            files=files,
            codec=codec,
            clock=clock,
            reader=reader,
            own=config.partner,
            urgent=urgent.wait,
        ),
        fetch=FetchService(
            store=store,
            files=files,
            codec=codec,
            clock=clock,
            reader=reader,
            directory=directory,
            carrier=carrier,
            identity=identity,
            rules=rules,
            urgent=urgent.wait,
        ),
    )
