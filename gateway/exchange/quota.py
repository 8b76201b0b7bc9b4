"""Token buckets that bound what one caller may hand in; U0 has a bucket of its own."""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.errors import QuotaExceeded
from gateway.model.header import Urgency


@dataclass(slots=True)
class _Bucket:
    tokens: float
    time_ms: int


class Quota:
    """One bucket per caller and one more for its U0, so that no flood of routine keeps a flash message out.

    Args:
        per_second: Messages that flow in steadily.
        burst: Messages taken at once after a rest.
    """

    MAX_CALLERS = 10_000
    """Buckets kept; a caller forgotten for being idle starts with a full bucket, which is what it would have."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_ms = per_second / 1000
        self._burst = burst
        self._buckets: OrderedDict[tuple[str, bool], _Bucket] = OrderedDict()

    def take(self, caller: str, urgency: Urgency, now_ms: int) -> None:
        """Take one message's worth.

        Raises:
            QuotaExceeded: The bucket is empty; says when it is not.
        """
        key = (caller, urgency is Urgency.U0)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(self._burst), now_ms)
            if len(self._buckets) > self.MAX_CALLERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            # A clock that was set back refills nothing, but time counts from there on.
            elapsed_ms = max(0, now_ms - bucket.time_ms)
            bucket.tokens = min(self._burst, bucket.tokens + elapsed_ms * self._per_ms)
            bucket.time_ms = now_ms
        if bucket.tokens < 1:
            raise QuotaExceeded(retry_after_ms=int((1 - bucket.tokens) / self._per_ms) + 1)
        bucket.tokens -= 1
