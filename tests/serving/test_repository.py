"""Versions appear whole or not at all, whoever writes and whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import RepositoryError
from serving.repository import (
    MAX_VERSION,
    STAGING_PREFIX,
    check_model_name,
    check_version,
    list_models,
    list_versions,
    make_durable,
    next_version,
    remove_stale_staging,
    require_space,
    stage,
    version_path,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "variables/variables.data": b"weights"}


def write(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def is_whole(folder: Path) -> bool:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES


def publish(root: Path, name: str = "m", version: int | None = None) -> Path:
    with stage(root, name) as staging:
        write(staging.path)
        return staging.publish(version)


# === Names and numbers ===


@pytest.mark.parametrize("name", ["mnist_cnn", "a", "resnet-50.v2", "7up", "x" * 128])
def test_url_safe_names_are_taken(name: str) -> None:
    """Letters, digits, underscore, hyphen and dot make a name that needs no escaping in a URL."""
    assert check_model_name(name) == name


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a:b", "a b", "ä", "../up", "-x", "_x", "x" * 129, "a\n",
                                  "a%20"])
def test_other_names_are_refused(name: str) -> None:
    """What would end or change a URL's path cannot name a model."""
    with pytest.raises(RepositoryError, match="part of the URL"):
        check_model_name(name)


@pytest.mark.parametrize("version", [1, 20240101120000, MAX_VERSION])
def test_positive_64_bit_versions_are_taken(version: int) -> None:
    """TensorFlow Serving reads a version as a signed 64-bit number."""
    assert check_version(version) == version


@pytest.mark.parametrize("version", [0, -1, MAX_VERSION + 1, True, 1.0, "1"])
def test_other_versions_are_refused(version: object) -> None:
    """Zero, negative, too large and non-integer versions name no folder that would be served."""
    with pytest.raises(RepositoryError, match="whole number from 1 to"):
        check_version(version)  # type: ignore[arg-type]


def test_listing_knows_numbers_only(tmp_path: Path) -> None:
    """Staging folders, files and words are no versions; the order is numeric."""
    for name in ("10", "9", "002", "latest", f"{STAGING_PREFIX}1", "-3", "\u0661"):
        (tmp_path / "m" / name).mkdir(parents=True)
    (tmp_path / "m" / "11").write_text("a file")
    (tmp_path / "empty").mkdir()
    assert list_versions(tmp_path, "m") == [2, 9, 10]
    assert list_models(tmp_path) == ["m"]
    assert next_version(tmp_path, "m") == 12, "a file called 11 would collide too"
    assert version_path(tmp_path, "m") == tmp_path / "m" / "10"
    assert version_path(tmp_path, "m", 2) == tmp_path / "m" / "002"


def test_nothing_is_a_good_repository(tmp_path: Path) -> None:
    """A root or model that does not exist lists as empty and starts at version 1."""
    assert list_models(tmp_path / "none") == []
    assert list_versions(tmp_path, "none") == []
    assert next_version(tmp_path, "none") == 1


def test_missing_model_or_version_lists_what_is_there(tmp_path: Path) -> None:
    """The message names what could have been meant."""
    publish(tmp_path, "mnist")
    with pytest.raises(RepositoryError, match="Models there: mnist"):
        version_path(tmp_path, "minst")
    with pytest.raises(RepositoryError, match=r"no version 7\. It has: 1"):
        version_path(tmp_path, "mnist", 7)


# === Publication ===


def test_versions_count_up(tmp_path: Path) -> None:
    """Without a number a version gets one more than the highest, gaps are not filled."""
    assert publish(tmp_path) == tmp_path / "m" / "1"
    assert publish(tmp_path, version=7) == tmp_path / "m" / "7"
    assert publish(tmp_path) == tmp_path / "m" / "8"
    assert all(is_whole(tmp_path / "m" / str(v)) for v in (1, 7, 8))
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["1", "7", "8"]


@pytest.mark.parametrize("spelling", ["3", "0003"])
def test_a_version_is_never_overwritten(tmp_path: Path, spelling: str) -> None:
    """An existing version stays as it is, however its number is spelled, and nothing else is left."""
    (tmp_path / "m" / spelling).mkdir(parents=True)
    (tmp_path / "m" / spelling / "keep").write_text("me")
    with pytest.raises(RepositoryError, match="never overwritten"):
        publish(tmp_path, version=3)
    assert [p.name for p in (tmp_path / "m").iterdir()] == [spelling]
    assert (tmp_path / "m" / spelling / "keep").read_text() == "me"


def test_the_loser_of_a_race_takes_the_next_number(tmp_path: Path) -> None:
    """A number that another writer published after the staging began is skipped."""
    with stage(tmp_path, "m") as slow:
        write(slow.path)
        assert publish(tmp_path).name == "1"
        assert slow.publish().name == "2"
    assert list_versions(tmp_path, "m") == [1, 2]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """An error inside the staging removes it and the folders made for it."""
    with pytest.raises(ZeroDivisionError), stage(tmp_path / "new" / "root", "m") as staging:
        write(staging.path)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path: Path) -> None:
    """Folders and versions that existed before a failed attempt stay."""
    publish(tmp_path)
    with pytest.raises(ZeroDivisionError), stage(tmp_path, "m"):
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["1"]


def test_unwritable_root_says_so(tmp_path: Path) -> None:
    """A root that is a file cannot hold models, and the message says what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="Choose a root folder"), stage(tmp_path / "file", "m"):
        pass


def test_space_is_checked_beforehand(tmp_path: Path) -> None:
    """More bytes than the disk has free are refused with both numbers; a root need not exist."""
    require_space(tmp_path / "not" / "there", 1)
    with pytest.raises(RepositoryError, match=r"MB free, and .* MB are needed"):
        require_space(tmp_path, 2**62)


def test_every_file_and_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is called for each file and each folder, children before their parent."""
    write(tmp_path)
    synced: list[str] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").resolve()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    make_durable(tmp_path)
    expected = {str(tmp_path), str(tmp_path / "variables"), *(str(tmp_path / name) for name in FILES)}
    assert set(synced) == expected
    assert synced[-1] == str(tmp_path)
    assert synced.index(str(tmp_path / "variables")) > synced.index(str(tmp_path / "variables/variables.data"))


# === Death ===

# Ends itself with SIGKILL at its n-th call of the file system inside the staging and publication.
SUICIDAL = """
import os, signal, sys
from pathlib import Path
from serving.repository import stage
root, limit = Path(sys.argv[1]), int(sys.argv[2])
count = 0
def hook(event, arguments):
    global count
    if armed and event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir",
                           "shutil.rmtree", "fcntl.flock"):
        count += 1
        if count == limit:
            os.kill(os.getpid(), signal.SIGKILL)
armed = False
sys.addaudithook(hook)
files = %r
armed = True
with stage(root, "m") as staging:
    for name, content in files.items():
        (staging.path / name).parent.mkdir(exist_ok=True)
        with open(staging.path / name, "wb") as file:
            file.write(content[:2]); file.flush(); file.write(content[2:])
    staging.publish()
armed = False
print(count)
""" % FILES  # noqa: UP031 (braces stand in the text)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)


def test_sigkill_at_every_step_leaves_no_half_version(tmp_path: Path) -> None:
    """Killed before any of its file system calls, a writer leaves whole versions only, and the next one cleans up."""
    steps = int(run(SUICIDAL, str(tmp_path / "count"), "0").stdout)
    assert steps > 15, "the writer's calls are seen"
    root = tmp_path / "root"
    for step in range(1, steps + 1):
        assert run(SUICIDAL, str(root), str(step)).returncode == -signal.SIGKILL
        assert all(is_whole(version_path(root, "m", version)) for version in list_versions(root, "m")), f"step {step}"
    assert publish(root).is_dir()
    assert not [p.name for p in (root / "m").iterdir() if p.name.startswith(".")]


HOLDING = """
import sys
from serving.repository import stage
with stage(sys.argv[1], "m") as staging:
    (staging.path / "half").write_text("x")
    print(staging.path, flush=True)
    sys.stdin.read()
"""


def test_only_dead_writers_are_cleaned_up(tmp_path: Path) -> None:
    """A living writer's staging folder stays; after its SIGKILL the same folder goes."""
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        staging = Path(writer.stdout.readline().strip())
        assert remove_stale_staging(tmp_path, "m") == []
        assert (staging / "half").exists()
        writer.kill()
        writer.wait()
    assert remove_stale_staging(tmp_path, "m") == [staging]
    assert list((tmp_path / "m").iterdir()) == []


def test_many_writers_at_once_get_different_versions(tmp_path: Path) -> None:
    """Eight real processes that publish at the same time make eight whole versions."""
    code = SUICIDAL.replace("armed = False\nprint", "print")
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "0"], cwd=ROOT, stdout=subprocess.DEVNULL)
               for _ in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert list_versions(tmp_path, "m") == list(range(1, 9))
    assert all(is_whole(tmp_path / "m" / str(version)) for version in range(1, 9))
