import json

import pytest

from gateway.config import Config
from gateway.crypto.certificates import LEAF_DAYS, issue_requested, new_request, validity_ms
from gateway.crypto.keyring import Keyring
from gateway.errors import CallerUnknown, ConfigInvalid, FieldInvalid, GatewayError, StateConflict
from gateway.ids import AuthorityId, PartnerId
from gateway.installation.endings import warnings_about_endings
from gateway.installation.registry import CERTIFICATES_KEPT, REGISTRY_FILE, IssuedCertificate, Registry

NOW = 1_795_000_000_000
DAY = 86_400_000
TH = PartnerId("th")
DDPM = AuthorityId("th/ddpm")
CONFIG = Config(
    partner="th", mode="exercise", store="sqlite:///x", system=[{"name": "national", "authorities": ["th/ddpm"]}]
)


def certificate(number: int) -> IssuedCertificate:
    return IssuedCertificate(bytes([number] * 32).hex(), NOW + DAY)


def test_what_was_registered_is_known_by_its_certificates_and_survives(tmp_path):
    changes = []
    registry = Registry(tmp_path, CONFIG)
    registry.on_change(lambda: changes.append(1))
    registry.add("system", "flood", (DDPM,), certificate(0))
    for number in range(1, CERTIFICATES_KEPT + 1):
        registry.renew("system", "flood", certificate(number))
    assert len(changes) == CERTIFICATES_KEPT + 1
    for again in (registry, Registry(tmp_path, CONFIG)):
        assert again["system/flood"].authorities == {DDPM}
        again.check_certificate("system/flood", bytes([1] * 32))
        for gone in (b"\x00" * 32, b"\xff" * 32, b""):
            with pytest.raises(CallerUnknown):
                again.check_certificate("system/flood", gone)
        # One of concord.toml is known by its name.
        again.check_certificate("system/national", b"\xff" * 32)


def test_an_officer_is_known_by_a_pseudonym_that_a_restart_keeps_and_a_new_registration_does_not(tmp_path):
    registry = Registry(tmp_path, CONFIG)
    first = registry.add("officer", "somchai", (DDPM,), certificate(0), ("duty_lead", "approver"))
    assert "somchai" not in first.officer_id
    for again in (registry, Registry(tmp_path, CONFIG)):
        officer = again.officer("officer/somchai")
        assert (officer.officer_id.name, officer.roles) == (first.officer_id, {"approver", "duty_lead"})
        assert again["officer/somchai"].principal == f"officer/{first.officer_id}"
        assert set(again.officers()) == {officer.officer_id}
    registry.remove("officer", "somchai")
    for gone in ("officer/somchai", "system/national", "auditor/court"):
        with pytest.raises(CallerUnknown):
            registry.officer(gone)
    assert registry.add("officer", "somchai", (DDPM,), certificate(1), ("drafter",)).officer_id != first.officer_id


@pytest.mark.parametrize(("roles", "speaks"), [("drafter", True), ("duty_lead", True), ("approver", False)])
def test_only_who_drafts_hands_in(tmp_path, roles, speaks):
    registry = Registry(tmp_path, CONFIG)
    registry.add("officer", "somchai", (DDPM,), certificate(0), (roles,))
    assert (DDPM in registry["officer/somchai"].authorities) is speaks


@pytest.mark.parametrize("roles", [(), ("auditor",), ("approver", "operator"), ("Approver",)])
def test_an_officer_has_roles_of_an_officer(tmp_path, roles):
    with pytest.raises(FieldInvalid):
        Registry(tmp_path, CONFIG).add("officer", "somchai", (DDPM,), certificate(0), roles)
    with pytest.raises(FieldInvalid):
        Registry(tmp_path, CONFIG).add("system", "flood", (DDPM,), certificate(0), ("approver",))


def test_what_cannot_be_stored_is_not_registered(tmp_path):
    registry = Registry(tmp_path / "gone", CONFIG)
    with pytest.raises(ConfigInvalid):
        registry.add("system", "flood", (DDPM,), certificate(0))
    assert "system/flood" not in registry


@pytest.mark.parametrize(
    ("role", "name", "authorities"),
    [
        ("gateway", "flood", (DDPM,)),
        ("operator", "flood", (DDPM,)),
        ("system", "", (DDPM,)),
        ("system", "Flood", (DDPM,)),
        ("system", "f\u043bood", (DDPM,)),
        ("system", "flood\u202e", (DDPM,)),
        ("system", "fl\u200dood", (DDPM,)),
        ("system", "flood\n", (DDPM,)),
        ("system", "x" * 64, (DDPM,)),
        ("system", "flood", ()),
        ("system", "flood", (AuthorityId("vn/police"),)),
        ("system", "flood", tuple(AuthorityId(f"th/a{number}") for number in range(65))),
        ("auditor", "court", (DDPM,)),
        ("officer", "somchai", (DDPM,)),
    ],
)
def test_what_may_not_be_registered_is_refused(tmp_path, role, name, authorities):
    registry = Registry(tmp_path, CONFIG)
    with pytest.raises(FieldInvalid):
        registry.add(role, name, authorities, certificate(0))
    assert not (tmp_path / REGISTRY_FILE).exists()


def test_a_name_is_given_once_for_each_role(tmp_path):
    registry = Registry(tmp_path, CONFIG)
    with pytest.raises(StateConflict):
        registry.add("system", "national", (DDPM,), certificate(0))
    registry.add("auditor", "national", (), certificate(0))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "[" * 100_000, '{"format": "concord-systems", "version": 2}'],
)
def test_a_damaged_file_stops_the_start(tmp_path, text):
    path = tmp_path / REGISTRY_FILE
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid):
        Registry(tmp_path, CONFIG)


def test_every_byte_of_the_file_may_be_wrong(tmp_path):
    Registry(tmp_path, CONFIG).add("system", "flood", (DDPM,), certificate(0))
    path = tmp_path / REGISTRY_FILE
    good = path.read_bytes()
    assert json.loads(good)["systems"]
    for place in range(len(good)):
        path.write_bytes(good[:place] + b"\xff" + good[place + 1 :])
        with pytest.raises(ConfigInvalid):
            Registry(tmp_path, CONFIG)


def test_a_request_gives_its_key_and_nothing_else():
    keyring = Keyring.generate(TH, NOW)
    authority = (keyring.authority_key_pem, keyring.authority_certificate_pem)
    _, request = new_request()
    made = issue_requested(authority, TH, role="auditor", name="court", request=request, now_ms=NOW)
    assert validity_ms(made)[1] == NOW + LEAF_DAYS * DAY
    broken = request.replace(request[100:104], b"AAAA", 1)
    for data in (b"", b"x", keyring.authority_certificate_pem, broken, b"-" * 20_000):
        with pytest.raises(GatewayError):
            issue_requested(authority, TH, role="system", name="a", request=data, now_ms=NOW)
    for role, name in (("gateway", "a"), ("system", "a/b"), ("system", "")):
        with pytest.raises(FieldInvalid):
            issue_requested(authority, TH, role=role, name=name, request=request, now_ms=NOW)


def test_a_month_before_the_end_the_operator_is_told_what_to_run(tmp_path):
    registry, keyring = Registry(tmp_path, CONFIG), Keyring.generate(TH, NOW)
    registry.add("system", "flood", (DDPM,), IssuedCertificate("aa" * 32, NOW + 40 * DAY))
    assert warnings_about_endings(keyring, registry, NOW) == ()
    (soon,) = warnings_about_endings(keyring, registry, NOW + 10 * DAY)
    assert "system/flood ends" in soon
    assert "concord system renew flood" in soon
    late = warnings_about_endings(keyring, registry, NOW + 400 * DAY)
    assert any("system/flood ended" in item for item in late)
    assert any("rotate tls" in item for item in late)
    assert any("rotate envelope" in item for item in late)
