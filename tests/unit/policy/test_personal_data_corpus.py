"""No real alert is stopped as personal data: a false hit would be a warning that does not leave."""

import os
from pathlib import Path

import pytest

from gateway.model.alert import Alert, AlertType, SourceTime
from gateway.policy.personal_data import has_travel_document

CORPUS = os.environ.get("CONCORD_CORPUS")


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="CONCORD_CORPUS names no folder of real files")
def test_no_real_alert_resembles_a_travel_document():
    files = [path for path in Path(CORPUS or "").glob("cap*/**/*") if path.is_file()]
    assert len(files) > 100
    hits = []
    for path in files:
        data = path.read_bytes()
        alert = Alert(
            identifier="1",
            source_sender="s",
            sent_time=SourceTime(0, 0),
            alert_type=AlertType.ALERT,
            note=data.decode("utf-8", "replace").replace("&lt;", "<"),
        )
        # The filler puts the whole search to work, not only its first glance.
        if has_travel_document(alert, data + b"<<"):
            hits.append(path.name)
    assert hits == []
