from __future__ import annotations

import pytest

from zoo.errors import WeightsError
from zoo.spec import FileRef
from zoo.weights.cache import CacheEntry
from zoo.weights.hub_files import PRESET_FILES, bucket_file, hugging_face_files, kaggle_files, web_file


def test_a_preset_is_the_same_files_on_both_hubs() -> None:
    """Without a file in the handle, each hub gives the address of every file that a preset may have."""
    for found in (hugging_face_files("org/repo"), kaggle_files("keras/vit/keras/base/4")):
        assert not isinstance(found, FileRef)
        assert tuple(found) == PRESET_FILES
        assert all(file.urls[0].endswith(f"/{name}") for name, file in found.items())


@pytest.mark.parametrize("url", ["https://host/../../etc/passwd", "https://host/..%2f..%2fx", "https://host/.hidden",
                                 "https://host/a%00b", "https://host/%e2%98%83.h5", "https://host/x/" + "y" * 300])
def test_every_address_gets_a_name_that_the_cache_takes(url: str, tmp_path: object) -> None:
    """Whatever an address ends in, its name in the cache is plain."""
    CacheEntry.of(web_file(url), tmp_path)  # type: ignore[arg-type]  # raises for a name that is not


def test_a_space_in_a_bucket_path_is_escaped() -> None:
    """The public address of an object is a valid one."""
    assert bucket_file("b/my file.h5").urls == ("https://storage.googleapis.com/b/my%20file.h5",)


def test_a_revision_must_be_plain() -> None:
    """A handle cannot climb to another repository."""
    with pytest.raises(WeightsError, match="must read hf://"):
        hugging_face_files("org/repo@..")
