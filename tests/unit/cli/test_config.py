"""Settings: known or refused, and the refusal says where."""

from pathlib import Path

import pytest

from gateway.config import Config, effective, load_config, packaged_partners_dir, unknown_variables
from gateway.errors import ConfigInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Mode

MINIMAL = 'partner = "th"\nmode = "exercise"\n'


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch):
    for name in [*Config.model_fields]:
        monkeypatch.delenv(f"CONCORD_{name.upper()}", raising=False)


def write(home: Path, text: str) -> Path:
    (home / "concord.toml").write_text(text, encoding="utf-8")
    return home


def refusal(home: Path, text: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(write(home, text))
    assert caught.value.reason == "CONFIG_INVALID"
    return caught.value.text


def test_absent_settings_keep_the_gateway_on_loopback_and_closed_to_systems(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))
    assert config.partner == PartnerId("th")
    assert config.mode is Mode.EXERCISE
    assert config.listen.federation.startswith("127.0.0.1:")
    assert config.listen.exchange.startswith("127.0.0.1:")
    assert config.system == ()
    assert config.endpoints == (config.listen.federation,)
    assert config.store == f"sqlite://{tmp_path / 'data'}"
    assert config.partners_dir == packaged_partners_dir()


def test_a_system_speaks_for_its_own_authorities_only(tmp_path):
    text = MINIMAL + '[[system]]\nname = "early-warning"\nauthorities = ["th/ddpm"]\n'
    config = load_config(write(tmp_path, text))
    assert config.authorities_of("early-warning") == {AuthorityId("th/ddpm")}
    assert config.authorities_of("somebody") == frozenset()


def test_settings_cannot_be_changed_after_they_were_read(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))
    with pytest.raises(ValueError):
        config.mode = Mode.ACTUAL  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (MINIMAL + "moed = 1\n", 3, "moed"),
        (MINIMAL + '[listen]\nfederatoin = "x:1"\n', 4, "listen.federatoin"),
        (MINIMAL + "[limits]\nsubmit_per_second = 3\n", 4, "limits.submit_per_second"),
        (MINIMAL + '_env_file = "/etc/passwd"\n', 3, "_env_file"),
        (MINIMAL + '[[system]]\nname = "a"\nauthorities = ["th/ddpm"]\nrole = "root"\n', 6, "system.role"),
    ],
)
def test_unknown_key_is_refused_with_its_place(tmp_path, text, line, key):
    said = refusal(tmp_path, text)
    assert f"concord.toml:{line}: {key}: unknown key" in said


def test_unknown_key_names_the_known_one_it_resembles(tmp_path):
    assert "did you mean federation?" in refusal(tmp_path, MINIMAL + '[listen]\nfederatoin = "x:1"\n')


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ('partner = "TH"\nmode = "test"\n', "partner"),
        ('partner = "thailand"\nmode = "test"\n', "partner"),
        ('partner = "th"\nmode = "production"\n', "mode"),
        ('partner = "th"\nmode = 1\n', "mode"),
        ('mode = "test"\n', "partner"),
        (MINIMAL + '[listen]\nexchange = "localhost"\n', "listen.exchange"),
        (MINIMAL + '[listen]\nexchange = "localhost:70000"\n', "listen.exchange"),
        (MINIMAL + '[listen]\nexchange = "a b:1"\n', "listen.exchange"),
        (MINIMAL + '[listen]\nexchange = "host:1\\n"\n', "listen.exchange"),
        (MINIMAL + '[listen]\nfederation = "0.0.0.0:7443"\n', "public.endpoints"),
        (MINIMAL + '[listen]\nfederation = "[::]:7443"\n', "public.endpoints"),
        (MINIMAL + 'default_authority = "la/mfa"\n', "default_authority"),
        (MINIMAL + 'default_authority = "mfa"\n', "default_authority"),
        (MINIMAL + '[[system]]\nname = "a"\nauthorities = []\n', "system.authorities"),
        (MINIMAL + '[[system]]\nname = "a"\nauthorities = ["la/mfa"]\n', "system.authorities"),
        (MINIMAL + '[[system]]\nname = "A b"\nauthorities = ["th/ddpm"]\n', "system.name"),
        (MINIMAL + ('[[system]]\nname = "a"\nauthorities = ["th/ddpm"]\n' * 2), "system"),
        (MINIMAL + "[limits]\nsubmit_per_s = 0\n", "limits.submit_per_s"),
        (MINIMAL + 'clock_offset_ms = "soon"\n', "clock_offset_ms"),
    ],
)
def test_wrong_value_is_refused_and_its_key_named(tmp_path, change, key):
    assert f"{key}:" in refusal(tmp_path, change)


def test_clock_offset_is_refused_in_mode_actual(tmp_path):
    assert load_config(write(tmp_path, MINIMAL + "clock_offset_ms = -5000\n")).clock_offset_ms == -5000
    assert "clock_offset_ms" in refusal(tmp_path, 'partner = "th"\nmode = "actual"\nclock_offset_ms = 1\n')


@pytest.mark.parametrize("data", [b"partner = ", b"\xff\xfe", b"a = " + b"[" * 5000, b"#" * 300_000])
def test_file_that_is_not_settings_is_refused(tmp_path, data):
    (tmp_path / "concord.toml").write_bytes(data)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(tmp_path)
    assert "concord.toml" in caught.value.text


def test_missing_file_is_refused_and_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigInvalid) as caught:
        load_config(tmp_path)
    assert "concord init" in caught.value.text


def test_environment_wins_over_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCORD_LISTEN__EXCHANGE", "127.0.0.1:9")
    monkeypatch.setenv("CONCORD_PARTNER", "la")
    monkeypatch.setenv("CONCORD_MODE", "test")
    monkeypatch.setenv("CONCORD_DEFAULT_AUTHORITY", "la/mfa")
    config = load_config(write(tmp_path, MINIMAL + '[listen]\nexchange = "127.0.0.1:8"\nfederation = "127.0.0.1:7"\n'))
    assert (config.listen.exchange, config.listen.federation) == ("127.0.0.1:9", "127.0.0.1:7")
    assert (config.partner, config.mode) == (PartnerId("la"), Mode.TEST)
    assert config.default_authority == AuthorityId("la/mfa")


def test_wrong_variable_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCORD_LISTEN__EXCHANGE", "nonsense")
    assert "environment variable CONCORD_LISTEN__EXCHANGE" in refusal(tmp_path, MINIMAL)
    monkeypatch.setenv("CONCORD_SYSTEM", "[not json")
    assert "environment" in refusal(tmp_path, MINIMAL)


def test_variable_that_is_no_setting_is_found_out():
    environ = {"CONCORD_MODUS": "x", "CONCORD_MODE": "test", "CONCORD_HOME": "/x", "CONCORD_TEST_PG": "1", "PATH": "/"}
    assert unknown_variables(environ) == ("CONCORD_MODUS",)


def test_database_password_is_shown_nowhere(tmp_path):
    text = MINIMAL + 'store = "postgresql://gateway:hunter2@db/concord"\n'
    config = load_config(write(tmp_path, text))
    assert "hunter2" not in repr(config)
    assert effective(config)["store"] == "postgresql://gateway:***@db/concord"
    assert "hunter2" not in refusal(
        tmp_path, text.replace('"postgresql', '["postgresql').replace('concord"', 'concord"]')
    )


def test_every_key_is_explained_in_the_reference():
    text = (Path(__file__).parents[3] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    sections = {"listen", "public", "system", "connector", "limits", "attachments", "telemetry"}
    for name, field in Config.model_fields.items():
        if name not in sections:
            assert f"| `{name}` |" in text
            continue
        assert f"`[{name}]`" in text or f"`[[{name}]]`" in text
        annotation = field.annotation
        model = annotation if hasattr(annotation, "model_fields") else annotation.__args__[0]
        for key in model.model_fields:
            assert f"| `{key}` |" in text


def test_telemetry_is_off_by_default_and_headers_are_found_from_the_home(tmp_path):
    off = load_config(write(tmp_path, MINIMAL)).telemetry
    assert (off.prometheus, off.otlp, off.trace_ratio) == (None, None, None)
    text = MINIMAL + '[telemetry]\notlp = "https://c.example:4317"\notlp_headers_file = "h"\ntrace_ratio = 0\n'
    text += 'otlp_ca_file = "ca.pem"\n'
    on = load_config(write(tmp_path, text)).telemetry
    assert (on.otlp, on.otlp_headers_file, on.trace_ratio) == ("https://c.example:4317", tmp_path / "h", 0)
    assert on.otlp_ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    "line",
    [
        'prometheus = "9464"', 'otlp = "c.example:4317"', 'otlp = "ftp://c.example:1"', 'otlp = "http://c.example"',
        'otlp = "http://user:secret@c.example:1"', 'otlp = "http://c.example:1/v1/traces"', "trace_ratio = 0.5",
        'otlp = "http://c.example:1"\ntrace_ratio = 1.5', 'otlp = "http://c.example:1"\ntrace_ratio = nan',
        'otlp_ca_file = "c"', 'otlp = "http://c.example:1"\notlp_ca_file = "c"',
        'otlp_headers_file = "h"', "partner_traces_per_s = -1", "promethius = 1",
    ],
)  # fmt: skip
def test_telemetry_that_cannot_be_is_refused_and_no_password_is_quoted(tmp_path, line):
    assert "secret" not in refusal(tmp_path, f"{MINIMAL}[telemetry]\n{line}\n")


@pytest.mark.parametrize(("mode", "reflects"), [("test", True), ("exercise", True), ("actual", False)])
def test_reflection_is_off_in_mode_actual_until_it_is_asked_for(tmp_path, mode, reflects):
    text = f'partner = "th"\nmode = "{mode}"\n'
    assert load_config(write(tmp_path, text)).reflects is reflects
    for stated in ("true", "false"):
        config = load_config(write(tmp_path, f"{text}[listen]\nreflection = {stated}\n"))
        assert config.reflects is (stated == "true")
