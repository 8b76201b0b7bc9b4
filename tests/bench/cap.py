"""How fast CAP alerts are read: over the corpus where it is, else over the examples."""

import os
import time
from pathlib import Path
from typing import Final

from adapters.connectors.cap import check_cap, read_cap

_CHECKOUT: Final = Path(__file__).parents[2]
_MEASURE_S: Final = 3.0


def parse_per_s() -> float:
    """Return the alerts read per second; refused files do not count."""
    corpus = Path(os.environ.get("CONCORD_CORPUS", _CHECKOUT.parent / "shared" / "corpus")) / "cap"
    folder = corpus if corpus.is_dir() else _CHECKOUT / "examples" / "alerts"
    files = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    readable = [data for data in files if check_cap(data).verdict != "refused"]
    count = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < _MEASURE_S:
        for data in readable:
            read_cap(data)
        count += len(readable)
    return count / elapsed
