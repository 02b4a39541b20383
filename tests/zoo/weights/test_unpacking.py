from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from zoo.errors import WeightsError
from zoo.weights.unpacking import Limits, content_root, is_archive, unpack

FILES = {"saved_model.pb": b"graph", "assets/vocab.txt": b"a\nb\n", "variables/variables.index": b"i" * 5000}


def tar_of(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return path


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(archive: Path, limits: Limits | None = None) -> Path:
    folder = archive.parent / "out"
    folder.mkdir()
    unpack(archive, folder, limits)
    return folder


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["tar.gz", "tar", "zip"])
def test_every_form_gives_the_same_files(tmp_path: Path, form: str) -> None:
    """The content decides what an archive is, not its name; files come out plain and readable."""
    archive = tmp_path / "module.bin"
    if form == "zip":
        zip_of(archive, FILES)
    else:
        tar_of(archive, FILES, mode="w:gz" if form == "tar.gz" else "w")
    assert is_archive(archive)
    folder = unpacked(archive)
    assert content_of(folder) == FILES
    assert not (folder / "saved_model.pb").stat().st_mode & stat.S_IXUSR


def test_a_dot_in_front_of_the_names_is_taken_off(tmp_path: Path) -> None:
    """`tar czf x.tar.gz .` writes ./ before each name."""
    folder = unpacked(tar_of(tmp_path / "a.tgz", {f"./{name}": content for name, content in FILES.items()}))
    assert content_of(folder) == FILES


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil"])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str, form: str) -> None:
    """Paths that are absolute, go up, or do so on another system refuse the archive before they are written."""
    archive = tmp_path / "a"
    if form == "zip":
        zip_of(archive, {"fine": b"x", name: b"evil"})
    else:
        tar_of(archive, {"fine": b"x", name: b"evil"})
    with pytest.raises(WeightsError, match=r"was refused: its entry .* would be written outside of its folder"):
        unpacked(archive)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a", "fine"}


@pytest.mark.parametrize("member", [
    link("evil", "/etc/passwd"), link("evil", "../../x"), link("evil", "fine", tarfile.LNKTYPE),
    link("evil", "", tarfile.FIFOTYPE), link("evil", "", tarfile.CHRTYPE), link("evil", "", tarfile.BLKTYPE),
], ids=["absolute", "up", "hard", "fifo", "character", "block"])
def test_links_and_devices_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    """Nothing but plain files and folders is made, so no later entry can write through a link."""
    archive = tar_of(tmp_path / "a.tar.gz", {"fine": b"x"}, member)
    with pytest.raises(WeightsError, match="'evil' is a link, a device or another special file"):
        unpacked(archive)


def test_links_in_zip_archives_are_refused(tmp_path: Path) -> None:
    """A zip archive marks a link in its attributes; its content would be the target."""
    info = zipfile.ZipInfo("evil")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(WeightsError, match="'evil' is a link"):
        unpacked(tmp_path / "a.zip")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_bomb_is_stopped(tmp_path: Path, form: str) -> None:
    """Content far beyond what an archive of its size may hold ends the unpacking early, not when the disk is full."""
    zeros = {"zeros": bytes(30_000_000)}
    archive = zip_of(tmp_path / "a", zeros) if form == "zip" else tar_of(tmp_path / "a", zeros)
    assert archive.stat().st_size < 40_000
    with pytest.raises(WeightsError, match="far bigger than an archive of its size should"):
        unpacked(archive, Limits(free_bytes=1 << 20))
    assert (tmp_path / "out" / "zeros").stat().st_size <= 5_000_000


def test_a_bomb_in_a_header_is_stopped(tmp_path: Path) -> None:
    """Long headers are read into memory by tarfile, so they count too."""
    with tarfile.open(tmp_path / "a", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"comment": "0" * 30_000_000}
        tar.addfile(info)
    with pytest.raises(WeightsError, match="far bigger"):
        unpacked(tmp_path / "a", Limits(free_bytes=1 << 20))


def test_the_number_of_entries_is_limited(tmp_path: Path) -> None:
    """A million empty files are a bomb as well."""
    archive = tar_of(tmp_path / "a", {f"f{number}": b"" for number in range(12)})
    with pytest.raises(WeightsError, match="more than 10 entries"):
        unpacked(archive, Limits(files=10))


@pytest.mark.parametrize("form", ["tar.gz", "zip", "cut", "text"])
def test_broken_archives_are_named(tmp_path: Path, form: str) -> None:
    """Damage in the middle, half a file and something else are each told in one line."""
    archive = tmp_path / "a"
    content = zip_of(archive, FILES).read_bytes() if form == "zip" else tar_of(archive, FILES).read_bytes()
    middle = len(content) // 2
    archive.write_bytes({"cut": content[:middle], "text": b"<html>403</html>"}.get(
        form, content[:middle] + bytes(8) + content[middle + 8:]))
    with pytest.raises(WeightsError, match=r"broken or incomplete|no archive that can be read") as caught:
        unpacked(archive)
    assert "\n" not in str(caught.value)


def test_names_that_occur_twice_are_refused(tmp_path: Path) -> None:
    """Which of two files is meant would be a matter of the program that unpacks."""
    with tarfile.open(tmp_path / "a", "w:gz") as tar:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("saved_model.pb")
            info.size = 3
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(WeightsError, match=r"has 'saved_model\.pb' twice"):
        unpacked(tmp_path / "a")
    (tmp_path / "out").rename(tmp_path / "first")
    with pytest.raises(WeightsError, match="a file and a folder of the same name"):
        unpacked(tar_of(tmp_path / "a", {"x": b"", "x/y": b""}))


def test_an_empty_archive_and_an_encrypted_one_are_refused(tmp_path: Path) -> None:
    """Neither is a model."""
    with pytest.raises(WeightsError, match="is empty"):
        unpacked(tar_of(tmp_path / "a", {}))
    content = bytearray(zip_of(tmp_path / "b", {"x": b"y"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    (tmp_path / "b").write_bytes(content)
    (tmp_path / "out").rmdir()
    with pytest.raises(WeightsError, match="is encrypted"):
        unpacked(tmp_path / "b")


def test_one_folder_around_everything_is_entered(tmp_path: Path) -> None:
    """Archives of checkpoints often hold a folder with the model's name."""
    folder = unpacked(tar_of(tmp_path / "a", {f"bert/{name}": content for name, content in FILES.items()}))
    assert content_root(folder) == folder / "bert"
    assert content_root(folder / "bert") == folder / "bert"
