"""Files on disk: whole only when named so, in nobody else's hands, and never where a name would lead."""

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.attachment_files import DirectoryFiles

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def files(tmp_path):
    return DirectoryFiles(tmp_path / "files")


def test_a_file_grows_is_cut_and_becomes_whole(files, tmp_path):
    assert (files.stored_bytes(A), files.read(A, 0, 9)) == (0, b"")
    files.append(A, 0, b"0123456789")
    files.append(A, 4, b"abc")
    assert files.read(A, 0, 99) == b"0123abc"
    assert files.read(A, 5, 1) == b"b"
    assert [path.suffix for path in (tmp_path / "files").iterdir()] == [".part"]
    files.finish(A)
    files.finish(A)
    (whole,) = (tmp_path / "files").iterdir()
    assert (whole.name, files.stored_bytes(A), files.read(A, 2, 3)) == (A.hex(), 7, b"23a")
    assert whole.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700
    files.remove(A)
    files.remove(B)
    assert not list((tmp_path / "files").iterdir())


def test_what_is_shorter_than_was_written_is_not_filled_up(files):
    files.append(A, 0, b"0123")
    with pytest.raises(StoreUnavailable):
        files.append(A, 5, b"x")


@pytest.mark.parametrize("name", [b"", b"a" * 31, b"a" * 33])
def test_only_ids_name_files(files, name):
    with pytest.raises(ValueError, match="32 bytes"):
        files.read(name, 0, 1)


def test_a_link_that_somebody_laid_is_not_followed(files, tmp_path):
    files.free_bytes()
    (tmp_path / "victim").write_bytes(b"untouched")
    (tmp_path / "files" / f"{A.hex()}.part").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreUnavailable):
        files.append(A, 0, b"x")
    assert (tmp_path / "victim").read_bytes() == b"untouched"


def test_a_disk_that_does_not_answer_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    files = DirectoryFiles(tmp_path / "file" / "directory")
    with pytest.raises(StoreUnavailable):
        files.free_bytes()
    with pytest.raises(StoreUnavailable):
        files.append(A, 0, b"x")
    with pytest.raises(StoreUnavailable):
        files.finish(A)
