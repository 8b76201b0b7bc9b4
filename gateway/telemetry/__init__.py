"""What operators see of a running gateway: logs, metrics and traces. All of it is a copy, never the record.

Nothing here holds content of a message or data about a person: every attribute is on a list (`logs.ALLOWED`,
`catalogue.METRICS`, `catalogue.SPANS`), and a value is a partner's code, a word of ours, or a number.
"""

from gateway.telemetry.logs import ALLOWED, allow_listed, configure_logging

__all__ = ["ALLOWED", "allow_listed", "configure_logging"]
