from __future__ import annotations

from pathlib import Path

import pytest

from zoo.errors import UnknownNameError, WeightsError
from zoo.spec import FileRef, ModelSpec, TensorPreprocessing, TrainingDefaults, WeightsRef
from zoo.weights.refs import (
    FolderSource,
    LocalSource,
    PresetSource,
    RemoteSource,
    TagSource,
    parse_weights,
    preset_source,
)

PIN = "ab" * 32


def spec_with(*tags: str) -> ModelSpec:
    refs = tuple(WeightsRef(tag=tag, format="keras_h5", licence="MIT", source="x", num_classes=10,
                            file=FileRef(file_name="a.h5", urls=("https://h/a.h5",))) for tag in tags)
    return ModelSpec(name="tiny", builder="a:b", family="f", input_kind="image", task="classification",
                     description="d", inputs=(), outputs=(), parameters=1, licence="MIT", weights=refs,
                     preprocessing=TensorPreprocessing(), training=TrainingDefaults(loss="mse"))


def remote(text: str) -> RemoteSource:
    source = parse_weights(text)
    assert isinstance(source, RemoteSource)
    return source


def test_none_means_random_parameters() -> None:
    """Without weights there is no source, whatever the model publishes."""
    assert parse_weights(None, spec_with("imagenet")) is None


def test_tags_and_the_default() -> None:
    """A tag names its weights, and "default" the first ones."""
    spec = spec_with("imagenet", "other")
    assert parse_weights("other", spec) == TagSource(spec.weights[1])
    assert parse_weights("default", spec) == TagSource(spec.weights[0])


def test_a_mistyped_tag_gets_the_near_one() -> None:
    """An unknown tag names the model, the near tag and the other forms, and is never taken for a path."""
    with pytest.raises(UnknownNameError, match=r"weights tag of tiny 'imagnet'. Did you mean 'imagenet'.*hf://"):
        parse_weights("imagnet", spec_with("imagenet"))
    with pytest.raises(WeightsError, match="tiny has no published weights"):
        parse_weights("default", spec_with())


def test_a_path_must_exist(tmp_path: Path) -> None:
    """A path is taken when it exists, and else the error names both things it could have been."""
    file = tmp_path / "a.weights.h5"
    file.touch()
    assert parse_weights(str(file)) == LocalSource(file)
    assert parse_weights(file) == LocalSource(file)
    assert parse_weights(f"file:{file}") == LocalSource(file)
    assert parse_weights(f"file://{file}#sha256={PIN.upper()}") == LocalSource(file, PIN)
    with pytest.raises(WeightsError, match=r"neither an existing path nor an address.*hf://"):
        parse_weights("google/vit-base", spec_with("imagenet"))
    with pytest.raises(WeightsError, match="neither an existing path"):
        parse_weights("best.weights.h5", spec_with("imagenet"))
    with pytest.raises(WeightsError, match="does not exist"):
        parse_weights(f"file:{tmp_path / 'none.h5'}")


def test_a_tag_wins_over_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray file called "imagenet" does not replace the published weights; `file:` still reaches it."""
    (tmp_path / "imagenet").touch()
    monkeypatch.chdir(tmp_path)
    assert isinstance(parse_weights("imagenet", spec_with("imagenet")), TagSource)
    assert parse_weights("file:imagenet", spec_with("imagenet")) == LocalSource(tmp_path / "imagenet")


@pytest.mark.parametrize(("text", "url", "name"), [
    ("https://host/x/model.h5", "https://host/x/model.h5", "model.h5"),
    ("http://host/a%20b.h5?key=1", "http://host/a%20b.h5?key=1", "a_b.h5"),
    ("gs://bucket/x/y.h5", "https://storage.googleapis.com/bucket/x/y.h5", "y.h5"),
    ("hf://org/repo/sub/m.safetensors", "https://huggingface.co/org/repo/resolve/main/sub/m.safetensors",
     "m.safetensors"),
    ("hf://org/repo@v1.0/m.h5", "https://huggingface.co/org/repo/resolve/v1.0/m.h5", "m.h5"),
    ("kaggle:keras/vit/keras/base/4/config.json",
     "https://www.kaggle.com/api/v1/models/keras/vit/keras/base/4/download/config.json", "config.json"),
])
def test_addresses_of_single_files(text: str, url: str, name: str) -> None:
    """Each scheme names one address, and the last part of it is the file's name."""
    assert remote(text).file == FileRef(file_name=name, urls=(url,))


def test_a_pin_is_taken_off_the_address() -> None:
    """`#sha256=` becomes the promised content and is not sent to the host."""
    file = remote(f"https://host/a.h5#sha256={PIN}").file
    assert (file.urls, file.sha256) == (("https://host/a.h5",), PIN)
    with pytest.raises(WeightsError, match="64 hexadecimal digits"):
        remote("https://host/a.h5#sha256=123")
    with pytest.raises(WeightsError, match="folder of files"):
        parse_weights(f"hf://org/repo#sha256={PIN}")


def test_secrets_in_an_address_are_not_repeated() -> None:
    """User, password and query stay in the request and never come into what is shown or recorded."""
    assert remote("https://me:pw@host/a.h5?token=t").address == "https://host/a.h5"


@pytest.mark.parametrize("text", ["kaggle:keras/vit/keras/base/4", "kaggle://keras/vit/Keras/base/4", "hf://org/repo",
                                  "hf:org/repo@main"])
def test_hub_folders_are_presets(text: str) -> None:
    """A hub handle without a file names the files of a keras-hub preset."""
    source = preset_source(text)
    assert isinstance(source, PresetSource)
    assert source.files["model.weights.h5"].urls[0].endswith("/model.weights.h5")
    assert "task.weights.h5" in source.files


@pytest.mark.parametrize(("text", "address"), [
    ("tfhub:google/nnlm-en-dim50/2", "tfhub:google/nnlm-en-dim50/2"),
    ("tfhub://google/nnlm-en-dim50/2", "tfhub:google/nnlm-en-dim50/2"),
    ("https://tfhub.dev/google/nnlm-en-dim50/2?tf-hub-format=compressed", "tfhub:google/nnlm-en-dim50/2"),
    ("kaggle:google/nnlm/tensorFlow2/en-dim50/1", "kaggle:google/nnlm/tensorFlow2/en-dim50/1"),
    ("https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1", "kaggle:google/nnlm/tensorFlow2/en-dim50/1"),
    ("https://www.kaggle.com/models/google/nnlm/frameworks/tensorFlow2/variations/en-dim50/versions/1?tfhub=x",
     "kaggle:google/nnlm/tensorFlow2/en-dim50/1"),
    ("https://me:pw@host/a/module.tar.gz?token=t", "https://host/a/module.tar.gz"),
])
def test_modules_and_archives_are_folders(text: str, address: str) -> None:
    """A TF Hub or Kaggle handle, its page, or an archive names a folder; its short address holds no secret."""
    source = parse_weights(f"{text}#sha256={PIN}")
    assert isinstance(source, FolderSource)
    assert (source.address, source.sha256) == (address, PIN)
    assert source.archive is not None
    assert source.archive.file.sha256 == PIN


def test_a_local_archive_is_a_folder(tmp_path: Path) -> None:
    """The name's ending tells an archive from a weights file; .keras files stay weights."""
    for name in ("a.tar.gz", "b.ZIP", "c.tgz"):
        (tmp_path / name).touch()
        assert parse_weights(tmp_path / name) == FolderSource(f"file:{name}", path=tmp_path / name)
    (tmp_path / "d.keras").touch()
    assert isinstance(parse_weights(tmp_path / "d.keras"), LocalSource)


@pytest.mark.parametrize(("text", "message"), [
    ("kaggle:keras/vit/keras/base", "has no version"), ("kaggle:keras/vit", "must read kaggle:OWNER"),
    ("kaggle:a/b/tensorFlow2/c", "has no version"), ("hf://repo", "must read hf://"),
    ("hf://org/../x", "must read hf://"), ("hf://org/repo@/../x/y", "must read hf://"), ("gs://bucket", "gs://BUCKET"),
    ("https://host", "name a host and a file"), ("tfhub:google/x", "'tfhub:google/x/1'"),
    ("https://tfhub.dev/google/../1", "must read tfhub:"), ("tfhub:x", "must read tfhub:"),
    ("https://www.kaggle.com/models/google/x", "names no version of a model"), ("file:", "does not exist"),
])
def test_malformed_addresses_are_explained(text: str, message: str) -> None:
    """Each mistake in an address is answered by the form that was expected."""
    with pytest.raises(WeightsError, match=message):
        parse_weights(text)


def test_an_unknown_scheme_gets_the_near_one() -> None:
    """A scheme that does not exist is refused with the near one and all forms."""
    with pytest.raises(UnknownNameError, match=r"weights scheme 'htps'. Did you mean 'https'.*gs://"):
        parse_weights("htps://host/a.h5")
