from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import multiprocessing
import tarfile
from pathlib import Path

import pytest

from tests.zoo.weights.file_server import FileServer, cut_after, redirect, status
from zoo.errors import ArgumentError, ChecksumError, DownloadError, WeightsError
from zoo.weights.checkpoint_folder import fetch_folder, recorded_handle
from zoo.weights.settings import DownloadSettings

FILES = {"saved_model.pb": b"graph" * 20_000, "variables/variables.index": b"i",
         "variables/variables.data-00000-of-00001": b"d", "assets/vocab.txt": b"a\nb\n"}
HANDLE = "google/nnlm-en-dim50/2"
CONFIG = b'{"model_type": "bert"}'
REPOSITORY = "/org/repo/resolve/main/"


def archive_of(files: dict[str, bytes], *members: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=0) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return stream.getvalue()


ARCHIVE = archive_of(FILES)
PIN = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def hub(settings: DownloadSettings, server: FileServer) -> DownloadSettings:
    """Settings whose hubs are the server on loopback, which serves a module and a repository."""
    server.files[f"/{HANDLE}"] = ARCHIVE
    server.files["/api/v1/models/google/nnlm/tensorFlow2/en-dim50/1/download"] = ARCHIVE
    hubs = ("https://tfhub.dev", "https://www.kaggle.com", "https://huggingface.co")
    return dataclasses.replace(settings, endpoints=dict.fromkeys(hubs, server.url("")))


def offline(settings: DownloadSettings) -> DownloadSettings:
    return dataclasses.replace(settings, offline=True)


def check(folder: Path, files: dict[str, bytes] = FILES) -> None:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == files


# === Archives ===


@pytest.mark.parametrize("source", [
    f"tfhub:{HANDLE}", f"https://tfhub.dev/{HANDLE}", "kaggle:google/nnlm/tensorFlow2/en-dim50/1",
    "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1"])
def test_a_handle_is_fetched_once(server: FileServer, hub: DownloadSettings, source: str) -> None:
    """A handle or the page of a model gives the unpacked folder; the second call asks nobody, nor does one offline."""
    folder = fetch_folder(source, hub)
    check(folder)
    assert fetch_folder(source, offline(hub)) == folder
    assert len(server.requests) == 1


def test_tfhub_is_asked_for_the_archive(server: FileServer, hub: DownloadSettings) -> None:
    """TF Hub answers with a page unless the address asks for the compressed module."""
    asked: list[str] = []
    server.scripts[f"/{HANDLE}"] = [lambda handler, content: (asked.append(handler.path), status(404)(handler, b""))[1]]  # type: ignore[func-returns-value]
    with pytest.raises(DownloadError):
        fetch_folder(f"tfhub:{HANDLE}", hub)
    assert asked == [f"/{HANDLE}?tf-hub-format=compressed"]


def test_redirects_are_followed(server: FileServer, hub: DownloadSettings) -> None:
    """TF Hub sends everybody on to another host, which sends on to a store."""
    server.files["/store/module.tar.gz"] = server.files.pop(f"/{HANDLE}")
    server.scripts[f"/{HANDLE}"] = [redirect(server.url("/models/x", "localhost"))]
    server.scripts["/models/x"] = [redirect(server.url("/store/module.tar.gz"))]
    check(fetch_folder(f"tfhub:{HANDLE}", hub))


def test_a_token_stays_with_its_host(server: FileServer, hub: DownloadSettings) -> None:
    """Kaggle's key is sent to its own stand-in, not to where that redirects, and is in no message."""
    path = "/api/v1/models/google/nnlm/tensorFlow2/en-dim50/1/download"
    with_key = dataclasses.replace(hub, credentials={f"127.0.0.1:{server.port}": "Basic secret"})
    server.scripts[path] = [redirect(server.url("/store.tar.gz", "localhost"))]
    with pytest.raises(DownloadError) as caught:
        fetch_folder("kaggle:google/nnlm/tensorFlow2/en-dim50/1", with_key)
    assert server.asked(path)[0]["authorization"] == "Basic secret"
    assert "authorization" not in server.asked("/store.tar.gz")[0]
    assert "secret" not in f"{caught.value} {with_key}"


def test_a_forbidden_handle_says_what_to_do(server: FileServer, hub: DownloadSettings) -> None:
    """A 403 is told as what it is, with the way that needs no network."""
    server.scripts[f"/{HANDLE}"] = [status(403)]
    with pytest.raises(DownloadError, match=r"HTTP 403 .*token") as caught:
        fetch_folder(f"tfhub:{HANDLE}", hub)
    assert f"fetch tfhub:{HANDLE} in any other way and give its folder or archive" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked(f"/{HANDLE}")) == 1


def test_a_cut_download_goes_on(server: FileServer, hub: DownloadSettings) -> None:
    """After a break only the rest is asked for."""
    server.scripts[f"/{HANDLE}"] = [cut_after(30_000)]
    check(fetch_folder(f"tfhub:{HANDLE}", hub))
    assert server.asked(f"/{HANDLE}")[1]["range"] == "bytes=30000-"


@pytest.mark.parametrize(("content", "message"), [
    (b"<html>sign in</html>", "no archive that can be read"), (ARCHIVE[:50_000], "broken or incomplete"),
    (archive_of({"../../evil": b"x"}), "outside of its folder"),
    (archive_of({"variables/variables.index": b"i"}), "neither saved_model.pb")])
def test_bad_archives_leave_no_folder(server: FileServer, hub: DownloadSettings, content: bytes, message: str) -> None:
    """A page instead of a module, half a module and a malicious one are refused, in one line."""
    server.files[f"/{HANDLE}"] = content
    with pytest.raises(WeightsError, match=message) as caught:
        fetch_folder(f"tfhub:{HANDLE}", hub)
    assert "\n" not in str(caught.value)
    assert not list(hub.cache_root.rglob("evil")) and not list(hub.cache_root.rglob("saved_model.pb"))


def test_a_link_in_an_archive_is_refused(server: FileServer, hub: DownloadSettings) -> None:
    """A link could make a later entry land anywhere."""
    evil = tarfile.TarInfo("assets/vocab.txt")
    evil.type, evil.linkname = tarfile.SYMTYPE, "/etc/passwd"
    server.files["/m.tar.gz"] = archive_of({"saved_model.pb": b"g"}, evil)
    with pytest.raises(WeightsError, match=r"'assets/vocab\.txt' is a link"):
        fetch_folder(server.url("/m.tar.gz"), hub)


def test_a_pin_is_checked(server: FileServer, hub: DownloadSettings, tmp_path: Path) -> None:
    """`#sha256=` holds for archives on the network and on this machine."""
    check(fetch_folder(f"tfhub:{HANDLE}#sha256={PIN}", hub))
    with pytest.raises(ChecksumError, match="not the promised content"):
        fetch_folder(f"tfhub:{HANDLE}#sha256={'ab' * 32}", hub)
    (tmp_path / "m.tgz").write_bytes(ARCHIVE)
    check(fetch_folder(f"file:{tmp_path / 'm.tgz'}#sha256={PIN}", hub))
    with pytest.raises(ChecksumError, match="is not the pinned archive"):
        fetch_folder(f"file:{tmp_path / 'm.tgz'}#sha256={'ab' * 32}", hub)


def test_local_archives_and_folders(tmp_path: Path, settings: DownloadSettings) -> None:
    """An archive is unpacked into the cache, also one of another name; a folder is used where it is."""
    for name in ("m.tar.gz", "module"):
        (tmp_path / name).write_bytes(ARCHIVE)
        check(fetch_folder(tmp_path / name, settings))
    folder = fetch_folder(tmp_path / "module", settings)
    assert fetch_folder(str(folder), settings) == folder
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(WeightsError, match=r"is not whole: variables/variables\.index is missing"):
        fetch_folder(str(folder), settings)
    check(fetch_folder(tmp_path / "module", settings))  # from the archive it is made again


@pytest.mark.parametrize("source", ["https://host/model.safetensors", "hf://org/repo/model.safetensors"])
def test_a_single_file_is_no_folder(source: str, settings: DownloadSettings) -> None:
    """What names one file is refused with the forms that name a folder."""
    with pytest.raises(ArgumentError, match=r"names no folder\. Expected a folder or archive"):
        fetch_folder(source, settings)


def get(settings: DownloadSettings) -> bool:
    check(fetch_folder(f"tfhub:{HANDLE}", settings))
    return True


def test_parallel_processes_share_the_cache(server: FileServer, hub: DownloadSettings) -> None:
    """Of four processes one downloads and unpacks."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert all(pool.map(get, [hub] * 4))
    assert len(server.requests) == 1


def test_a_recorded_handle_has_no_secret(server: FileServer, hub: DownloadSettings, tmp_path: Path) -> None:
    """What goes into saved models names the module and nothing more, and still finds it without the network."""
    for handle, recorded in ((f"https://tfhub.dev/{HANDLE}", f"tfhub:{HANDLE}"), ("hf://org/repo", "hf://org/repo"),
                             (f"tfhub:{HANDLE}#sha256={PIN}", f"tfhub:{HANDLE}#sha256={PIN}")):
        assert recorded_handle(handle, tmp_path) == recorded
    server.files["/m.tar.gz"] = ARCHIVE
    signed = server.url("/m.tar.gz").replace("//", "//me:pw@") + "?token=t"
    folder = fetch_folder(signed, hub)
    assert recorded_handle(signed, folder) == f"{server.url('/m.tar.gz')}#sha256={PIN}"
    assert fetch_folder(recorded_handle(signed, folder), offline(hub)) == folder


# === The cache of tensorflow_hub ===


def module_in(cache: Path, handle: str, files: dict[str, bytes] = FILES) -> Path:
    folder = cache / hashlib.sha1(handle.encode()).hexdigest()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_an_unpacked_module_of_tensorflow_hub_is_used(server: FileServer, hub: DownloadSettings,
                                                      tmp_path: Path) -> None:
    """What TFHUB_CACHE_DIR has under the sha1 of the handle needs no network; a pin cannot be checked there."""
    folder = module_in(tmp_path / "modules", f"https://tfhub.dev/{HANDLE}")
    both = dataclasses.replace(hub, tfhub_cache=tmp_path / "modules")
    assert fetch_folder(f"tfhub:{HANDLE}", offline(both)) == folder
    assert not server.requests
    assert fetch_folder(f"tfhub:{HANDLE}#sha256={PIN}", both) != folder


def test_a_half_empty_module_is_passed_over(server: FileServer, hub: DownloadSettings, tmp_path: Path) -> None:
    """With a network the module is fetched anew; without one the error names the folder and what it lacks (hub#896)."""
    folder = module_in(tmp_path / "modules", f"https://tfhub.dev/{HANDLE}", {"variables/variables.index": b"i"})
    both = dataclasses.replace(hub, tfhub_cache=tmp_path / "modules")
    with pytest.raises(DownloadError, match=r"is of no use: it has neither saved_model\.pb") as caught:
        fetch_folder(f"tfhub:{HANDLE}", offline(both))
    assert str(folder) in str(caught.value)
    check(fetch_folder(f"tfhub:{HANDLE}", both))


# === Repositories ===


def repository(server: FileServer, **files: bytes) -> dict[str, bytes]:
    named = {name.replace("__", "/"): content for name, content in files.items()}
    server.files |= {REPOSITORY + name: content for name, content in named.items()}
    return named


def test_a_checkpoint_is_put_together(server: FileServer, hub: DownloadSettings) -> None:
    """Files that are there are in the folder under their own names, and absent optional ones are no error."""
    files = repository(server, **{"config.json": CONFIG, "model.safetensors": b"t", "vocab.txt": b"[PAD]",
                                  "1_Pooling/config.json": b"{}", "modules.json": b"[]"})
    folder = fetch_folder("hf://org/repo", hub)
    check(folder, files)
    assert fetch_folder("hf://org/repo", offline(hub)) == folder
    assert list(dict.fromkeys(path for path, _ in server.requests))[-1] == f"{REPOSITORY}model.safetensors"


def test_shards_follow_their_index(server: FileServer, hub: DownloadSettings) -> None:
    """The index names the shards; each is fetched once."""
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors",
                                       "c": "model-1.safetensors"}}).encode()
    files = repository(server, **{"config.json": CONFIG, "model.safetensors.index.json": index,
                                  "model-1.safetensors": b"1", "model-2.safetensors": b"2"})
    check(fetch_folder("hf://org/repo@main", hub), files)


@pytest.mark.parametrize("index", [b"{}", b"no json", b'{"weight_map": {}}', b'{"weight_map": {"a": "../../x"}}',
                                   b'{"weight_map": {"a": "/etc/x.safetensors"}}', b'{"weight_map": {"a": 1}}'])
def test_an_index_names_plain_files(server: FileServer, hub: DownloadSettings, index: bytes) -> None:
    """A foreign index cannot make us fetch or write anything else."""
    repository(server, **{"config.json": CONFIG, "model.safetensors.index.json": index})
    with pytest.raises(WeightsError, match="is no index of safetensors files"):
        fetch_folder("hf://org/repo", hub)


@pytest.mark.parametrize("files", [
    {"bert_config.json": b"{}", "vocab.txt": b"a", "bert_model.ckpt.index": b"i",
     "bert_model.ckpt.data-00000-of-00001": b"d"},
    {"hparams.json": b"{}", "encoder.json": b"{}", "vocab.bpe": b"x", "model.ckpt.index": b"i",
     "model.ckpt.data-00000-of-00001": b"d"},
    {"config.json": b'{"registered_name": "keras_hub>BertBackbone"}', "model.weights.h5": b"w",
     "assets/tokenizer/vocabulary.txt": b"a", "tokenizer.json": b"{}"}], ids=["bert", "gpt2", "preset"])
def test_other_layouts(server: FileServer, hub: DownloadSettings, files: dict[str, bytes]) -> None:
    """Original BERT and GPT-2 checkpoints and keras-hub presets are told by their description."""
    repository(server, **files)
    check(fetch_folder("hf://org/repo", hub), files)


def test_what_is_missing_is_told(server: FileServer, hub: DownloadSettings) -> None:
    """A repository without a checkpoint, and one with pickled parameters only."""
    with pytest.raises(WeightsError, match=r"there is neither config\.json nor bert_config\.json"):
        fetch_folder("hf://org/repo", hub)
    repository(server, **{"config.json": CONFIG, "pytorch_model.bin": b"pickle"})
    with pytest.raises(WeightsError, match=r"Pickled files .* are never opened") as caught:
        fetch_folder("hf://org/repo", hub)
    assert not server.asked(f"{REPOSITORY}pytorch_model.bin")
    assert "hf://org/repo" in str(caught.value)


def test_a_damaged_file_is_fetched_again(server: FileServer, hub: DownloadSettings) -> None:
    """The content is checked at every use; the folder then holds the right file."""
    files = repository(server, **{"config.json": CONFIG, "model.safetensors": b"tensors"})
    folder = fetch_folder("hf://org/repo", hub)
    (folder / "model.safetensors").write_bytes(b"damaged")
    check(fetch_folder("hf://org/repo", hub), files)


def test_progress_hears_of_the_archive(hub: DownloadSettings) -> None:
    """The hook gets bytes so far and in all."""
    heard: list[tuple[int, int | None]] = []
    fetch_folder(f"tfhub:{HANDLE}", hub, lambda done, total: heard.append((done, total)))
    assert heard[-1] == (len(ARCHIVE), len(ARCHIVE))
