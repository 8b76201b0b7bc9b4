"""What is kept of partners' logs, in words for operators."""

from collections.abc import Sequence

from gateway.ids import PartnerId
from gateway.ports import Finding, PartnerLogBegun, SeenCheckpoint
from gateway.translog.succession import parse_succession


def newest_of(kept: Sequence[SeenCheckpoint]) -> SeenCheckpoint | None:
    """Return the largest checkpoint of one log, leaving out what it showed after it had gone back."""
    good = [item for item in kept if item.finding is not Finding.WENT_BACK]
    return max(good, key=lambda item: item.checkpoint.size, default=None)


def findings_of(kept: Sequence[SeenCheckpoint], begun: Sequence[PartnerLogBegun]) -> tuple[tuple[str, int | None], ...]:
    """Return in words what speaks against the log that each partner keeps now, and how it began.

    The second of each pair says since when it is known that a log follows another one; None for everything else.
    """
    logs: dict[PartnerId, dict[str, list[SeenCheckpoint]]] = {}
    for item in kept:
        logs.setdefault(item.partner, {}).setdefault(item.origin, []).append(item)
    said = {(item.partner, item.origin): item for item in begun}
    found: list[tuple[str, int | None]] = []
    for partner, names in sorted(logs.items(), key=lambda item: item[0].code):
        present = max(names, key=lambda name: max(item.checkpoint.time_ms for item in names[name]))
        found += [(text, None) for text in _against(partner, names[present])]
        statement = said.get((partner, present))
        if statement is not None:
            found.append((_begun_in_words(statement, names), statement.time_ms))
        elif len(names) > 1 and not any(at == partner for at, _ in said):
            text = f"the log of '{partner}' has another name than before, {present}"
            found.append((f"{text}, and does not say what became of the one before", None))
    return tuple(found)


def _against(partner: PartnerId, kept: Sequence[SeenCheckpoint]) -> list[str]:
    texts = []
    forked = sorted({item.checkpoint.size for item in kept if item.finding is Finding.FORKED})
    if forked:
        sizes = " and ".join(str(size) for size in (*forked[:1], *forked[1:][-1:]))
        texts.append(
            f"the log of '{partner}' shows two histories: its signed checkpoints of {sizes} entries contradict each"
            " other; both are kept as evidence, see concord log head"
        )
    newest = newest_of(kept)
    back = next((item for item in kept if item.finding is Finding.WENT_BACK), None)
    # Once the log goes on from the newest that we saw, what was lost is back.
    if back is not None and newest is not None and back.checkpoint.time_ms >= newest.checkpoint.time_ms:
        texts.append(
            f"the log of '{partner}' has gone back: it showed {newest.checkpoint.size} entries, and now"
            f" {back.checkpoint.size}; it was restored from an older copy, or runs twice"
        )
    return texts


def _begun_in_words(begun: PartnerLogBegun, names: dict[str, list[SeenCheckpoint]]) -> str:
    said = parse_succession(begun.digest, begun.detail)
    newest = newest_of(names.get(said.origin, []))
    seen = newest.checkpoint.size if newest is not None else 0
    # What nobody else has seen may be gone too: the partner's word is all there is for that.
    lost = max(said.size, seen) - said.sure_size
    text = (
        f"'{begun.partner}' has begun a new log because {said.reason}. It says that {said.size} entries of the one"
        f" before were signed, and that the first {said.sure_size} of them are kept"
    )
    text += f"; up to {lost} that were signed are lost" if lost else "; none that was signed is lost"
    if newest is not None and (seen > said.size or (seen == said.size and newest.checkpoint.root != said.root)):
        text += f". WHAT IT SAYS IS NOT TRUE: here a signed checkpoint of {seen} entries was seen that does not fit"
    return text
