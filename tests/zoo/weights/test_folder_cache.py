from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.errors import DownloadError, WeightsError
from zoo.weights.folder_cache import CachedFolder

SLOW = """
import sys, time
from pathlib import Path
from zoo.weights.folder_cache import CachedFolder

def fill(folder):
    (folder / "first").write_text("1")
    print("begun", flush=True)
    time.sleep(60)

CachedFolder.of("key", Path(sys.argv[1])).obtain(fill, {})
"""


def fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("content")


def refuse(_: Path) -> None:
    raise AssertionError("the folder was made again")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    """The second call finds the folder whole and does not fill it again."""
    place = CachedFolder.of("key", tmp_path)
    assert not place.is_whole()
    folder = place.obtain(fill, {"source": "x"})
    assert (folder / "inner" / "file").read_text() == "content"
    assert place.obtain(refuse, {}) == folder
    assert {path.name for path in (tmp_path / "folders").iterdir()} == {"key", "key.lock"}


def changed(path: Path) -> None:
    path.write_text("changed")


def same_size(path: Path) -> None:
    path.write_text("CONTENT")


def extra(path: Path) -> None:
    path.with_name("more").touch()


@pytest.mark.parametrize("damage", [changed, same_size, extra, Path.unlink])
def test_a_damaged_folder_is_made_again(tmp_path: Path, damage: object) -> None:
    """A file that is missing, too many or of other content makes the folder untrustworthy."""
    place = CachedFolder.of("key", tmp_path)
    damage(place.obtain(fill, {}) / "inner" / "file")  # type: ignore[operator]
    assert not place.is_whole()
    assert (place.obtain(fill, {}) / "inner" / "file").read_text() == "content"
    assert not list((tmp_path / "folders").glob(".key*"))


def test_a_new_time_alone_is_no_damage(tmp_path: Path) -> None:
    """A copy of the cache has other times; then the content decides."""
    place = CachedFolder.of("key", tmp_path)
    os.utime(place.obtain(fill, {}) / "inner" / "file", (1, 1))
    assert place.is_whole()


def test_an_unfinished_folder_does_not_look_whole(tmp_path: Path) -> None:
    """Whoever is killed while filling leaves nothing under the key, and the next one clears up."""
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    place = CachedFolder.of("key", tmp_path)
    assert list((tmp_path / "folders").glob(".key.*/content/first"))
    assert not place.is_whole() and not place.path.exists()
    place.obtain(fill, {})
    assert not list((tmp_path / "folders").glob(".key*"))


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """After an archive that is refused there is no folder and no half one."""
    def fail(folder: Path) -> None:
        fill(folder)
        raise WeightsError("refused")

    with pytest.raises(WeightsError, match="refused"):
        CachedFolder.of("key", tmp_path).obtain(fail, {})
    assert [path.name for path in (tmp_path / "folders").iterdir()] == ["key.lock"]


def slow_fill(folder: Path) -> None:
    fill(folder)
    with (folder.parents[1] / "filled").open("a") as log:
        log.write("x")
    time.sleep(0.2)


def obtain(cache: Path) -> bool:
    return (CachedFolder.of("key", cache).obtain(slow_fill, {}) / "inner" / "file").read_text() == "content"


def test_parallel_processes_make_it_once(tmp_path: Path) -> None:
    """Four processes that want the same folder wait for the one that makes it."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert all(pool.map(obtain, [tmp_path] * 4))
    assert (tmp_path / "folders" / "filled").read_text() == "x"


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A file in the place of the cache is a clear error."""
    (tmp_path / "folders").touch()
    with pytest.raises(DownloadError, match="point ZOO_CACHE to a folder that you may write to"):
        CachedFolder.of("key", tmp_path).obtain(fill, {})
