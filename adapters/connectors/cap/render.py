"""From an alert of the gateway to the CAP 1.2 document that national systems get.

An alert that came in as CAP 1.2 leaves as the very bytes its issuer wrote, unless they would say something false about
its content or mode. Anything else is written anew from the value.
"""

from adapters.connectors.cap.read import MEDIA_TYPE, read_cap
from adapters.connectors.cap.write import write_cap
from gateway.errors import Rejected
from gateway.model.alert import Alert
from gateway.model.header import Mode


def cap_document(alert: Alert, mode: Mode) -> bytes:
    """Return the alert as a CAP 1.2 document whose status is its mode."""
    provenance = alert.provenance
    if provenance is not None and provenance.media_type == MEDIA_TYPE and provenance.original:
        try:
            reading = read_cap(provenance.original)
        except Rejected:
            # The sender's gateway says it is CAP; ours does not take its word.
            return write_cap(alert, mode).data
        # The value is what policy and officers saw; an original that says something else is not passed on.
        same = (reading.alert.identifier, reading.alert.infos) == (alert.identifier, alert.infos)
        if same and reading.version == "1.2" and reading.mode is mode:
            return provenance.original
    return write_cap(alert, mode).data
