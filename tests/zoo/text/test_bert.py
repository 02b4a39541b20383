from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.text.numpy_transformer import (
    SMALL,
    Array,
    bert_states,
    dense,
    example,
    gelu,
    gelu_tanh,
    normalise,
    randomised,
    softmax,
    weights_of,
)
from zoo.errors import ArgumentError
from zoo.text.bert import TASKS, bert

INPUTS = example(segments=True)
LENGTHS = INPUTS["padding_mask"].sum(axis=1)
STACK: dict[str, int] = {"layers": SMALL["layers"], "heads": SMALL["heads"]}


def made(**options: Any) -> keras.Model:
    return randomised(bert(**{**SMALL, **options}))


def answer(model: keras.Model, inputs: dict[str, Array] = INPUTS) -> Any:
    return keras.tree.map_structure(np.asarray, model(inputs, training=False))


def longer(inputs: dict[str, Array], steps: int) -> dict[str, Array]:
    """The same texts with more padding behind them; the padding has ids of its own, which must not matter."""
    filled = {"token_ids": 7, "segment_ids": 1, "padding_mask": 0}
    return {name: np.pad(value, ((0, 0), (0, steps)), constant_values=filled[name]) for name, value in inputs.items()}


# === Against the reference ===


@pytest.mark.parametrize("options", [
    {}, {"activation": "gelu_tanh"}, {"segments": 0}, {"position_offset": 2}, {"layer_norm_epsilon": 1e-2},
], ids=lambda options: next(iter(options), "plain"))
def test_states_are_those_of_the_reference(options: dict[str, Any]) -> None:
    """Every state equals a NumPy BERT in float64, for each variation that a checkpoint may ask for."""
    inputs = {name: value for name, value in INPUTS.items() if options.get("segments", 2) or name != "segment_ids"}
    model = made(include_top=False, **options)
    expected = bert_states(weights_of(model), inputs, **STACK, epsilon=options.get("layer_norm_epsilon", 1e-12),
                           activation=gelu_tanh if "activation" in options else gelu,
                           offset=options.get("position_offset", 0))
    found = answer(model, inputs)["sequence_output"]
    for row, states in enumerate(expected):
        np.testing.assert_allclose(found[row, :len(states)], states, rtol=1e-4, atol=1e-4)


def test_the_two_kinds_of_gelu_differ() -> None:
    """The exact activation is told from its approximation by far more than the tolerance of a comparison."""
    exact, approximate = (made(include_top=False, activation=name) for name in ("gelu", "gelu_tanh"))
    difference = np.abs(answer(exact)["sequence_output"] - answer(approximate)["sequence_output"]).max()
    assert 1e-4 < difference < 1e-1


def test_every_head_is_what_the_papers_say() -> None:
    """Each task's answer equals what NumPy makes of the reference's states."""
    classify, regress, tag, embed, fill = (made(task=task, num_classes=3) for task in TASKS)
    for model, outputs in ((classify, softmax), (regress, lambda x: x)):
        w = weights_of(model)
        first = np.stack([states[0] for states in bert_states(w, INPUTS, **STACK)])
        expected = outputs(dense(np.tanh(dense(first, w, "pooler")), w, "predictions"))
        np.testing.assert_allclose(answer(model), expected, rtol=1e-3, atol=1e-4)
    w = weights_of(tag)
    for row, states in enumerate(bert_states(w, INPUTS, **STACK)):
        np.testing.assert_allclose(answer(tag)[row, :len(states)], softmax(dense(states, w, "predictions")),
                                   rtol=1e-3, atol=1e-4)
    means = np.stack([states.mean(0) for states in bert_states(weights_of(embed), INPUTS, **STACK)])
    np.testing.assert_allclose(answer(embed), means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)
    w = weights_of(fill)
    for row, states in enumerate(bert_states(w, INPUTS, **STACK)):
        inner = normalise(gelu(dense(states, w, "mlm_transform")), w, "mlm_norm", 1e-12)
        logits = inner @ w["token_embedding/embeddings"].T + w["predictions/bias"]
        np.testing.assert_allclose(answer(fill)[row, :len(states)], logits, rtol=1e-3, atol=1e-3)


def test_hugging_face_agrees() -> None:
    """The states and the pooled output are those of Hugging Face's BertModel with the same parameters."""
    torch = pytest.importorskip("torch", reason="needs PyTorch for the comparison; NumPy's BERT stands above")
    transformers = pytest.importorskip("transformers", reason="needs Hugging Face transformers for the comparison")
    model = made(include_top=False)
    configuration = transformers.BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=50,
        max_position_embeddings=12, hidden_act="gelu")
    other = transformers.BertModel(configuration).eval()
    other.load_state_dict({name: torch.tensor(value) for name, value in hugging_face_names(weights_of(model)).items()},
                          strict=False)
    with torch.no_grad():
        expected = other(input_ids=torch.tensor(INPUTS["token_ids"]),
                         token_type_ids=torch.tensor(INPUTS["segment_ids"]),
                         attention_mask=torch.tensor(INPUTS["padding_mask"]))
    found = answer(model)
    np.testing.assert_allclose(found["pooled_output"], expected.pooler_output.numpy(), atol=1e-4)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(found["sequence_output"][row, :length],
                                   expected.last_hidden_state.numpy()[row, :length], atol=1e-4)


def hugging_face_names(w: dict[str, Array]) -> dict[str, Array]:
    found = {"embeddings.word_embeddings.weight": w["token_embedding/embeddings"],
             "embeddings.position_embeddings.weight": w["position_embedding/embeddings"],
             "embeddings.token_type_embeddings.weight": w["segment_embedding/embeddings"],
             "embeddings.LayerNorm.weight": w["embedding_norm/gamma"],
             "embeddings.LayerNorm.bias": w["embedding_norm/beta"],
             "pooler.dense.weight": w["pooler/kernel"].T, "pooler.dense.bias": w["pooler/bias"]}
    parts = {"attention/output": "attention.output.dense", "intermediate": "intermediate.dense",
             "output": "output.dense"}
    norms = {"attention_norm": "attention.output.LayerNorm", "output_norm": "output.LayerNorm"}
    for index in range(SMALL["layers"]):
        ours, theirs = f"block_{index}", f"encoder.layer.{index}"
        kernels = np.split(w[f"{ours}/attention/qkv/kernel"], 3, axis=1)
        biases = np.split(w[f"{ours}/attention/qkv/bias"], 3)
        for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
            found |= {f"{theirs}.attention.self.{part}.weight": kernel.T, f"{theirs}.attention.self.{part}.bias": bias}
        for mine, other in parts.items():
            found |= {f"{theirs}.{other}.weight": w[f"{ours}/{mine}/kernel"].T,
                      f"{theirs}.{other}.bias": w[f"{ours}/{mine}/bias"]}
        for mine, other in norms.items():
            found |= {f"{theirs}.{other}.weight": w[f"{ours}/{mine}/gamma"],
                      f"{theirs}.{other}.bias": w[f"{ours}/{mine}/beta"]}
    return found


# === Padding ===


@pytest.mark.parametrize("options", [
    *({"task": task} for task in TASKS), {"task": "embedding", "pooling": "cls"}, {"pooling": "mean"},
], ids=str)
def test_padding_changes_nothing(options: dict[str, Any]) -> None:
    """Alone or in a batch, with any amount of padding, a text gives the same answer."""
    model = made(**options)
    whole, padded = answer(model), answer(model, longer(INPUTS, 5))
    for row, length in enumerate(LENGTHS):
        alone = answer(model, {name: value[row:row + 1, :length] for name, value in INPUTS.items()})[0]
        part = slice(0, length) if whole.ndim == 3 else slice(None)
        np.testing.assert_allclose(whole[row][part], alone, atol=2e-5)
        np.testing.assert_allclose(padded[row][part], alone, atol=2e-5)


def test_a_text_of_nothing_is_finite() -> None:
    """A row that is all padding, and a batch without rows, give numbers and no error."""
    nothing = {name: np.zeros((1, 4), "int32") for name in INPUTS}
    for task in TASKS:
        assert np.isfinite(answer(made(task=task), nothing)).all()
    empty = {name: np.zeros((0, 4), "int32") for name in INPUTS}
    assert answer(made(), empty).shape == (0, 2)


# === Shapes, names, dtypes ===


def test_outputs_have_the_shapes_of_the_task() -> None:
    """Shapes and dtypes are declared and kept; without a head there are two outputs, or one without a pooler."""
    shapes = {"classification": (3, 5), "regression": (3, 2), "token_classification": (3, 7, 5), "embedding": (3, 24),
              "masked_language_model": (3, 7, 40)}
    for task, shape in shapes.items():
        model = made(task=task, num_classes=5, outputs=2)
        assert answer(model).shape == shape
        assert model.output_shape[-1] == shape[-1] and model.output.dtype == "float32"
        assert [tensor.name for tensor in model.inputs] == ["token_ids", "segment_ids", "padding_mask"]
    features = answer(made(include_top=False))
    assert {name: value.shape for name, value in features.items()} == {"sequence_output": (3, 7, 24),
                                                                      "pooled_output": (3, 24)}
    assert set(answer(made(include_top=False, has_pooler=False))) == {"sequence_output"}
    assert [tensor.name for tensor in made(segments=0).inputs] == ["token_ids", "padding_mask"]


def test_the_parameters_have_the_promised_paths() -> None:
    """Paths and shapes are those that checkpoints are mapped to."""
    expected = {
        "token_embedding/embeddings": (40, 24), "position_embedding/embeddings": (12, 24),
        "segment_embedding/embeddings": (2, 24), "embedding_norm/gamma": (24,), "embedding_norm/beta": (24,),
        "block_0/attention/qkv/kernel": (24, 72), "block_0/attention/qkv/bias": (72,),
        "block_0/attention/output/kernel": (24, 24), "block_0/attention/output/bias": (24,),
        "block_0/attention_norm/gamma": (24,), "block_0/attention_norm/beta": (24,),
        "block_0/intermediate/kernel": (24, 50), "block_0/intermediate/bias": (50,),
        "block_0/output/kernel": (50, 24), "block_0/output/bias": (24,),
        "block_0/output_norm/gamma": (24,), "block_0/output_norm/beta": (24,)}
    heads: dict[str, dict[str, tuple[int, ...]]] = {
        "classification": {"pooler/kernel": (24, 24), "pooler/bias": (24,), "predictions/kernel": (24, 2),
                           "predictions/bias": (2,)},
        "token_classification": {"predictions/kernel": (24, 2), "predictions/bias": (2,)}, "embedding": {},
        "masked_language_model": {"mlm_transform/kernel": (24, 24), "mlm_transform/bias": (24,),
                                  "mlm_norm/gamma": (24,), "mlm_norm/beta": (24,), "predictions/bias": (40,)}}
    for task, head in heads.items():
        model = bert(**{**SMALL, "layers": 1}, task=task)
        assert {weight.path: tuple(weight.shape) for weight in model.weights} == expected | head
        assert len({weight.path for weight in model.weights}) == len(model.weights)
    again = bert(**{**SMALL, "layers": 1}, task=task)
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize(("policy", "task"), [
    ("mixed_bfloat16", "classification"), ("mixed_bfloat16", "masked_language_model"), ("mixed_float16", "embedding"),
    ("bfloat16", "embedding"),
])
def test_low_precision_stays_finite_and_near(policy: str, task: str) -> None:
    """Under each policy, padding included, answers are finite and near those in float32."""
    options = {key: value for key, value in SMALL.items() if key != "vocabulary_size"} | {"task": task, "seed": 1}
    exact = zoo.build("bert", vocabulary_size=40, **options)
    low = zoo.build("bert", vocabulary_size=40, dtype=policy, **options)
    for mine, other in zip(low.weights, exact.weights, strict=True):
        mine.assign(other.numpy())
    inputs = {name: np.concatenate([value, np.zeros_like(value[:1])]) for name, value in INPUTS.items()}
    found, expected = (np.asarray(keras.ops.cast(model(inputs), "float32")) for model in (low, exact))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:3], expected[:3], atol=0.05)
    if task == "embedding" or policy.startswith("mixed"):
        assert low.output.dtype == "float32"


# === Saving, training, adapting ===


@pytest.mark.parametrize("task", ["embedding", "masked_language_model"])
def test_it_comes_back_from_a_bundle(task: str, tmp_path: Path) -> None:
    """`zoo.save` and `zoo.load` bring back the task, the parameters and the answers."""
    model = randomised(zoo.build("bert", task=task, **SMALL))
    loaded = zoo.load(zoo.save(model, tmp_path))
    np.testing.assert_array_equal(answer(loaded), answer(model))
    assert zoo.record_of(loaded).task == task


@pytest.mark.parametrize("task", ["classification", "masked_language_model"])
# Keras's own variables do not know the `copy` argument of NumPy 2's `__array__` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_it_comes_back_from_a_keras_file(task: str, tmp_path: Path) -> None:
    """A .keras file brings back the same answers without custom objects being named; the tied table is there once."""
    model = made(task=task, activation="gelu_tanh")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(answer(loaded), answer(model))
    assert len(loaded.weights) == len(model.weights)


def test_every_parameter_learns_and_dropout_only_while_training() -> None:
    """A step changes all parameters that stand behind the answer; dropout is on in training alone."""
    model = made()
    assert not np.allclose(model(INPUTS, training=True), model(INPUTS, training=True))
    np.testing.assert_array_equal(answer(model), answer(model))
    before = weights_of(model)
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(INPUTS, np.array([0, 1, 1]))
    after = weights_of(model)
    assert [path for path in before if np.array_equal(before[path], after[path])] == []


def test_adapters_reach_the_products_of_every_block() -> None:
    """Keras's own low-rank adapters work on the four products of a block and change nothing before training."""
    model = made()
    before = answer(model)
    adapted = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)
               and layer.path.startswith("block_")]
    assert len(adapted) == 4 * SMALL["layers"]
    for layer in adapted:
        layer.enable_lora(2)
    np.testing.assert_allclose(answer(model), before, atol=1e-6)


# === What it refuses ===


@pytest.mark.parametrize(("options", "message"), [
    ({"hidden_size": 10, "heads": 3}, "multiple of `heads`. Received: hidden_size=10, heads=3"),
    ({"task": "translation"}, "`task` must be one of 'classification', .* Received: 'translation'"),
    ({"activation": "swish2"}, "`activation` must be one of 'gelu', 'gelu_tanh'"),
    ({"task": "embedding", "pooling": "max"}, "`pooling` must be one of 'mean', 'cls', 'pooler'"),
    ({"pooling": "pooler", "has_pooler": False}, "this encoder has none. Use 'mean' or 'cls'"),
    ({"pooling": "mean", "include_top": False}, "`pooling` makes one vector per text, which 'features' does not need"),
    ({"pooling": "mean", "task": "token_classification"}, "which 'token_classification' does not need"),
    ({"position_offset": 12}, "`position_offset` must be below `max_positions` "),
    ({"layers": 0}, "`layers` must be a whole number of at least 1"),
    ({"dropout": 1.0}, r"`dropout` must be a fraction in \[0, 1\)"),
])
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    """Each refusal says what was expected and what came."""
    with pytest.raises(ArgumentError, match=message):
        bert(**{**SMALL, **options})


def test_too_long_a_text_is_refused_in_words() -> None:
    """More tokens than positions say so, and do not fail inside a sum."""
    with pytest.raises(ArgumentError, match="reads up to 12 tokens and 13 came"):
        made()({name: np.ones((1, 13), "int32") for name in INPUTS})
