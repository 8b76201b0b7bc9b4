"""Compute a log anew, entry by entry, as somebody does who believes nothing that is stored about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.translog.merkle import EMPTY_ROOT, leaf_hash
from gateway.translog.tiles import Place, append, edge


@dataclass(slots=True)
class Recomputed:
    """The tree over the leaves given so far; memory stays small whatever their number."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    _unfinished: dict[Place, bytes] = field(default_factory=dict)

    def add(self, leaves: Sequence[bytes]) -> dict[Place, bytes]:
        """Add leaves; return the tiles that changed, as they must be stored from now on."""
        grown = append(self.size, self._unfinished, [leaf_hash(leaf) for leaf in leaves])
        self._unfinished |= grown.tiles
        self.size, self.root = grown.size, grown.root
        self._unfinished = {place: self._unfinished[place] for place in edge(self.size)}
        return grown.tiles
