"""What a sender calls a file never leads anywhere, and nothing is written over."""

import pytest

from gateway.client.files import MAX_NAME_BYTES, FileTarget, safe_name
from gateway.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("statement.pdf", "0-statement.pdf"),
        ("ບັນຊີ 1.pdf", "0-ບ_ນຊ_1.pdf"),
        ("../../etc/passwd", "0-etc_passwd"),
        ("C:\\Windows\\a.exe", "0-C_Windows_a.exe"),
        (".bashrc", "0-bashrc"),
        ("-rf", "0-rf"),
        ("a\u202efdp.exe", "0-a_fdp.exe"),
        ("a\n\x1b[2Jb", "0-a_2Jb"),
        ("$(reboot);`id`", "0-reboot_id_"),
        ("CON.txt", "0-file"),
        ("nul", "0-file"),
        ("...", "0-file"),
        ("", "0-file"),
    ],
)
def test_a_name_is_made_plain(name, safe):
    assert safe_name(name, 0) == safe


def test_a_long_name_keeps_its_ending():
    name = safe_name("ก" * 400 + ".pdf", 7)
    assert name.startswith("7-")
    assert name.endswith(".pdf")
    assert len(name.encode()) <= MAX_NAME_BYTES + 2


def test_nothing_is_written_over_and_no_link_is_followed(tmp_path):
    (tmp_path / "there").write_bytes(b"mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.part").symlink_to(tmp_path / "there")
    for name in ("there", "dangling", "b"):
        with pytest.raises(ConfigInvalid):
            FileTarget(tmp_path / name)
    assert (tmp_path / "there").read_bytes() == b"mine"
    target = FileTarget(tmp_path / "a")
    target.close()
    assert (tmp_path / "a.part").stat().st_mode & 0o777 == 0o600
