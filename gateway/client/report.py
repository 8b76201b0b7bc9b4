"""What a trial of a connection found, step by step."""

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """What stands in the way."""

    FILES = "files"
    NAME_UNKNOWN = "name_unknown"
    PORT_CLOSED = "port_closed"
    SILENT = "silent"
    NOT_TLS = "not_tls"
    SERVER_UNTRUSTED = "server_untrusted"
    SERVER_DATES = "server_dates"
    SERVER_NAME = "server_name"
    OWN_MISSING = "own_missing"
    OWN_UNTRUSTED = "own_untrusted"
    OWN_DATES = "own_dates"
    OWN_REFUSED = "own_refused"
    WRONG_SERVICE = "wrong_service"
    NOT_REGISTERED = "not_registered"
    NOT_ALLOWED = "not_allowed"
    CALL_FAILED = "call_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a connection: with a fault the last one tried."""

    name: str
    what: str
    fault: Fault | None = None
    why: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was tried, in order."""

    target: str
    steps: tuple[Step, ...]

    @property
    def fault(self) -> Fault | None:
        """What stands in the way; None when nothing does."""
        return self.steps[-1].fault

    def __str__(self) -> str:
        lines = []
        for step in self.steps:
            lines.append(f"{'ok  ' if step.fault is None else 'FAIL'}  {step.name:<9}  {step.what}")
            if step.fault is not None:
                lines += [f"      why        {step.why}", f"      do         {step.fix}"]
        return "\n".join(lines)
