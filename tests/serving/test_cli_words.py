"""The words behind `zoo predict` become the inputs of a signature, from the command line or from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving.cli_words import Words, choose_signature, read_examples
from serving.errors import InvalidRequestError
from serving.protocol.dtypes import DataType
from serving.protocol.signatures import Signature, TensorSpec

FLOAT, STRING, INT = DataType.DT_FLOAT, DataType.DT_STRING, DataType.DT_INT32


def signature(**inputs: DataType) -> Signature:
    return Signature({name: TensorSpec(int(kind), (None,)) for name, kind in inputs.items()}, {})


TEXT, PAIR = signature(text=STRING), signature(text=STRING, text_pair=STRING)
GENERATE = Signature({"prompt": TensorSpec(int(STRING), (None,)), "max_new_tokens": TensorSpec(int(INT), (None,)),
                      "temperature": TensorSpec(int(FLOAT), ()), "stop": TensorSpec(int(STRING), (None, None))}, {})


def read(name: str, takes: Signature, *inputs: object, **further: Any) -> tuple[dict[str, Any], list[str]]:
    examples = read_examples(Words([str(word) for word in inputs], **further), name, takes)
    return examples.inputs, examples.sources


# === Which signature ===


def test_the_friendliest_signature_is_chosen() -> None:
    """Pictures, texts and rows before tensors; something where there is only something else."""
    tensors, content = signature(x=FLOAT), signature(image_bytes=STRING)
    assert choose_signature({"serving_default": tensors, "serve_bytes": content}, Words(["a.png"])) == "serve_bytes"
    assert choose_signature({"serving_default": tensors, "other": tensors}, Words(["a.png"])) == "serving_default"
    assert choose_signature({"zeta": tensors, "alpha": tensors}, Words(["x"])) == "alpha"


def test_settings_choose_the_signature_that_has_them() -> None:
    """A text alone asks with the defaults; with a setting the signature must have that input."""
    model = {"serving_default": signature(token_ids=INT), "serve_text": TEXT, "generate": GENERATE, "score": TEXT}
    assert choose_signature(model, Words(["once"])) == "serve_text"
    assert choose_signature(model, Words(["once"], settings=["max_new_tokens=4"])) == "generate"
    assert choose_signature(model, Words(["once"], settings=["speed=4"])) == "generate"


# === Texts, pairs, settings ===


def test_each_word_is_a_text() -> None:
    """A prompt is a text too."""
    assert read("serve_text", TEXT, "a", "") == ({"text": ["a", ""]}, ["a", ""])
    assert read("generate", GENERATE, "a")[0] == {"prompt": ["a"]}


def test_pairs_are_named_together() -> None:
    """The second text of each pair stands behind --pair."""
    values, sources = read("serve_text", PAIR, "a", "b", pairs=["x", "y"])
    assert values == {"text": ["a", "b"], "text_pair": ["x", "y"]}
    assert sources == ["a | x", "b | y"]


def test_settings_have_the_kind_of_the_input() -> None:
    """Numbers and text, one per example, one for all or a list for each, as the signature's shape says."""
    values, _ = read("generate", GENERATE, "a", "b", settings=["max_new_tokens=40", "temperature=0.5", "stop=.",
                                                               "stop=a=b"])
    assert values == {"prompt": ["a", "b"], "max_new_tokens": [40, 40], "temperature": 0.5,
                      "stop": [[".", "a=b"], [".", "a=b"]]}


@pytest.mark.parametrize(("name", "takes", "further", "told"), [
    ("serve_text", PAIR, {}, "give the second of each with `--pair`"),
    ("serve_text", PAIR, {"pairs": ["x"]}, "2 texts and 1 times `--pair`"),
    ("serve_text", TEXT, {"pairs": ["x", "y"]}, "reads single texts"),
    ("generate", GENERATE, {"settings": ["speed=1"]}, "has no input 'speed' to set. It takes max_new_tokens, prompt"),
    ("generate", GENERATE, {"settings": ["max_new_tokens"]}, "takes NAME=VALUE"),
    ("generate", GENERATE, {"settings": ["max_new_tokens=four"]}, "takes a whole number. Received: 'four'"),
    ("generate", GENERATE, {"settings": ["temperature=warm"]}, "takes a number. Received: 'warm'"),
    ("generate", GENERATE, {"settings": ["temperature=1", "temperature=2"]}, "takes one value. Received: 1, 2"),
])
def test_words_that_do_not_fit(name: str, takes: Signature, further: dict[str, Any], told: str) -> None:
    """One line says what the signature takes."""
    with pytest.raises(InvalidRequestError, match=r".*") as caught:
        read(name, takes, "a", "b", **further)
    assert told in str(caught.value)


# === Columns ===


def test_text_columns_are_kept_as_text() -> None:
    """A category that looks like a number stays text; a number's column takes numbers."""
    values, sources = read("serve_columns", signature(size=FLOAT, code=STRING), "size=1.5, code=007", "code=,size=2")
    assert values == {"size": [1.5, 2.0], "code": ["007", ""]}
    assert sources == ["size=1.5, code=007", "code=,size=2"]


# === Files ===


def test_a_json_file_works_for_every_signature(tmp_path: Path) -> None:
    """Values with commas go this way, and the examples are named by their place."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"size": [1], "code": ["a,b"]}))
    assert read("serve_columns", signature(size=FLOAT, code=STRING), path) == ({"size": [1], "code": ["a,b"]},
                                                                               [f"{path}:0"])
    with pytest.raises(InvalidRequestError, match="has no input 'code'"):
        read("serve_text", TEXT, path)


@pytest.mark.parametrize(("file", "content", "values", "first"), [
    ("t.txt", "a, b\n\nc\n", {"text": ["a, b", "c"], "text_pair": ["y", "z"]}, 1),
    ("t.tsv", 'a "b\tx\nc\ty\n', {"text": ['a "b', "c"], "text_pair": ["x", "y"]}, 1),
    ("t.tsv", "text_pair\ttext\nx\ta\n", {"text": ["a"], "text_pair": ["x"]}, 2),
    ("t.csv", 'text,text_pair\n"a, b",x\n', {"text": ["a, b"], "text_pair": ["x"]}, 2),
    ("t.jsonl", '{"text": "a", "text_pair": "x"}\n{"text": "b", "text_pair": "y"}\n',
     {"text": ["a", "b"], "text_pair": ["x", "y"]}, 1),
])
def test_files_of_examples(tmp_path: Path, file: str, content: str, values: dict[str, Any], first: int) -> None:
    """One example per line: as it is, in columns with or without titles, or as objects; named by file and line."""
    (tmp_path / file).write_text(content)
    pairs = ["y", "z"] if file == "t.txt" else []
    found, sources = read("serve_text", PAIR, tmp_path / file, pairs=pairs)
    assert found == values
    assert sources[0] == f"{tmp_path / file}:{first}"


def test_columns_of_numbers_in_a_file(tmp_path: Path) -> None:
    """A table's rows are asked for as they stand in its file; an empty number is a missing one."""
    (tmp_path / "t.csv").write_text("code,size\n007,1.5\nb,\n")
    found, _ = read("serve_columns", signature(size=FLOAT, code=STRING), tmp_path / "t.csv")
    assert found["code"] == ["007", "b"]
    assert found["size"][0] == 1.5
    assert found["size"][1] != found["size"][1], "not a number"


@pytest.mark.parametrize(("file", "content", "told"), [
    ("t.tsv", b"a\tx\nb\n", "line 2: expected 2 columns (text, text_pair). Received: 1"),
    ("t.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "line 2: expected text as in the first example. Received: txt"),
    ("t.jsonl", b"[1]\n", "line 1, must be an object"),
    ("t.jsonl", b"{\n", "line 1, is not JSON"),
    ("t.txt", b"\n", "has no example"),
    ("t.txt", b"\xff", "is no UTF-8 text (byte 0)"),
    ("none.tsv", None, "none.tsv cannot be read"),
])
def test_files_that_cannot_be_read(tmp_path: Path, file: str, content: bytes | None, told: str) -> None:
    """One line names file, line and reason."""
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        read("serve_text", PAIR, tmp_path / file, pairs=["x"] if file == "t.txt" else [])
    assert told in str(caught.value)
