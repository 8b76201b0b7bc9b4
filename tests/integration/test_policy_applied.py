"""A gateway starts only with what two operators have applied, and says so in its log."""

import shutil
from pathlib import Path

from tests.fixtures.applying import apply_policy
from tests.fixtures.quick_gateways import QuickGateway

SHIPPED = Path(__file__).parents[2] / "partners"


def test_start_follows_what_two_operators_have_applied(tmp_path):
    profiles = tmp_path / "partners"
    gateway = QuickGateway("th", tmp_path / "th")
    try:
        gateway.init()
        shutil.copytree(SHIPPED, profiles)
        settings = gateway.home / "concord.toml"
        settings.write_text(f'partners_dir = "{profiles}"\n' + settings.read_text(encoding="utf-8"), encoding="utf-8")
        apply_policy(gateway.home)
        applied = gateway.ask("policy", "applied")
        assert applied["applied_by"] == ["first", "second"]
        gateway.start()
        entries = gateway.ask("log", "search", "--type", "configuration-applied")
        entry = entries[0] if isinstance(entries, list) else entries
        assert entry["actor"] == "gateway"
        assert "first and second" in entry["detail"]
        assert applied["applied"] in str(entry)
        gateway.stop()
        (profiles / "th.toml").write_bytes((profiles / "th.toml").read_bytes() + b"# changed\n")
        gateway.launch()
        assert gateway.wait_end() == 3
        assert "POLICY_NOT_APPLIED" in gateway.log_tail()
        assert "partners/th.toml has changed" in gateway.log_tail()
    finally:
        gateway.kill()
