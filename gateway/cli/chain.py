"""Where an alert stands among others, in words."""

from typing import TYPE_CHECKING, Final

from gateway.cli.views import id_text

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import MessageView

_TYPES: Final = {2: "updates", 3: "cancels"}
"""Of alert.proto: what an update or cancellation does to the one before it."""


def standing(view: "MessageView") -> str:
    """Return an alert's state with its chain; nothing for what is no alert."""
    from gateway.workflow.alert_chain import WORDS, Problem

    words = view.alert_state.upper() if view.alert_state == "quarantined" else view.alert_state
    if view.alert_reason:
        known = view.alert_reason in set(Problem)
        words += f": {WORDS[Problem(view.alert_reason)] if known else view.alert_reason}"
    if view.successor:
        words += f" by {id_text(view.successor)}"
    if view.predecessor:
        words += f", {about(view)}"
    return words


def about(view: "MessageView") -> str:
    """Return what an alert is about: "updates 019a..."."""
    return f"{_TYPES.get(view.body.alert.alert_type, 'follows')} {id_text(view.predecessor)}"
