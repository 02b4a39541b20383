from __future__ import annotations

from pathlib import Path

import pytest

from zoo.errors import ArgumentError
from zoo.weights.settings import DownloadSettings


def read(**variables: str) -> DownloadSettings:
    return DownloadSettings.from_environment(variables)


def test_cache_folder_comes_from_the_environment(tmp_path: Path) -> None:
    """ZOO_CACHE wins, then XDG_CACHE_HOME, then ~/.cache; a relative XDG_CACHE_HOME is ignored."""
    assert read(ZOO_CACHE=str(tmp_path), XDG_CACHE_HOME="/elsewhere").cache_root == tmp_path
    assert read(XDG_CACHE_HOME=str(tmp_path)).cache_root == tmp_path / "servable-zoo"
    assert read(XDG_CACHE_HOME="relative").cache_root == Path.home() / ".cache" / "servable-zoo"
    assert read().cache_root == Path.home() / ".cache" / "servable-zoo"


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("On", True), ("0", False), ("", False)])
def test_offline_is_a_truth_value(value: str, expected: bool) -> None:
    """ZOO_OFFLINE takes the usual words for yes and no."""
    assert read(ZOO_OFFLINE=value).offline is expected


def test_unclear_variables_are_refused() -> None:
    """A typing mistake does not switch the network on, nor a mirror off, in silence."""
    with pytest.raises(ArgumentError, match=r"ZOO_OFFLINE must be 1 .* Received: 'ture'"):
        read(ZOO_OFFLINE="ture")
    with pytest.raises(ArgumentError, match="ZOO_MIRROR must be an address"):
        read(ZOO_MIRROR="host/folder")


def test_tokens_belong_to_one_host_and_are_not_shown() -> None:
    """The tokens of the two hubs are kept under their hosts, and printing the settings shows none."""
    found = read(HF_TOKEN="hf_secret", KAGGLE_USERNAME="me", KAGGLE_KEY="kaggle_secret", ZOO_MIRROR="https://m/x/")
    assert found.credentials["huggingface.co"] == "Bearer hf_secret"
    assert found.credentials["www.kaggle.com"].startswith("Basic ")
    assert found.mirror == "https://m/x"
    assert "secret" not in repr(found)
    assert "credentials" not in repr(found)


def test_stand_ins_of_the_hubs() -> None:
    """The variables of the hubs' own clients name stand-ins, which get the hub's token; other addresses stay."""
    settings = DownloadSettings.from_environment({
        "HF_ENDPOINT": "https://mirror.example/hf/", "HF_TOKEN": "secret", "ZOO_TFHUB_ENDPOINT": "http://127.0.0.1:1",
        "TFHUB_CACHE_DIR": "/modules"})
    assert settings.address_of("https://huggingface.co/a/b") == "https://mirror.example/hf/a/b"
    assert settings.address_of("https://tfhub.dev/a/1?x=y") == "http://127.0.0.1:1/a/1?x=y"
    assert settings.address_of("https://www.kaggle.com/a") == "https://www.kaggle.com/a"
    assert set(settings.credentials) == {"huggingface.co", "mirror.example"}
    assert settings.tfhub_cache == Path("/modules")
    assert "secret" not in repr(settings)
    with pytest.raises(ArgumentError, match="HF_ENDPOINT must be an address"):
        DownloadSettings.from_environment({"HF_ENDPOINT": "mirror"})
