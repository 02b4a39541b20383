"""Our served `generate` beside transformers, keras-hub, CTranslate2 and the memory's own limit: tokens per second.

    python benchmarks/generation.py [--batches 1 8] [--new-tokens 128] [--rounds 3] [--dtypes float32 bfloat16 int8]

GPT-2 of 124M parameters with random weights, the same in every engine; greedy; prompts of 32 tokens. The engines take
turns, round after round, in one process with as many threads as there are processors; the best round counts. Ours is
the exported SavedModel through a session, as TensorFlow Serving runs it. The limit is how often per second the memory
can be read through all weights: measured by summing 512 MiB, before, between and after the rounds, best of all.
PyTorch, transformers and CTranslate2 are optional. Ours in bfloat16 and int8 is the float32 model exported at that
level (`zoo export --optimize`), and the peers' is their own. Compare engines within one run only: the load of the
machine stands beside them.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# This folder has a serving.py, which would stand in front of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tensorflow as tf

import zoo
from benchmarks.engines.limits import bytes_per_second
from serving.export import export_model
from zoo.preprocessing.byte_alphabet import byte_vocabulary

PROMPT, LAYERS, HEADS, WIDTH, VOCABULARY = 32, 12, 12, 768, 50257
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
Engine = Callable[[np.ndarray, int], int]


def large_vocabulary() -> Any:
    """A byte vocabulary with made-up words behind it, so that a prompt of 32 letters is 32 tokens of 50,257."""
    small = byte_vocabulary(1024)
    made = ("".join(letters) for letters in itertools.product(small.vocabulary[33:90], repeat=3))
    words = tuple(itertools.islice(made, VOCABULARY - len(small.vocabulary)))
    return dataclasses.replace(small, vocabulary=(*small.vocabulary[:-1], *words, small.end_of_text))


def ours(dtype: str, folder: Path) -> tuple[Engine, dict[str, Any]]:
    """The exported signature, and the parameters by path."""
    model = zoo.build("gpt2", seed=0, preprocessing=large_vocabulary())
    values = {variable.path: np.asarray(variable.numpy(), np.float32) for variable in model.variables}
    path = export_model(model, folder, name=f"gpt2_{dtype}", warmup=False, validate=False, samples=["abc"],
                        optimize="none" if dtype == "float32" else dtype).path
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def["generate"]
    inputs = {name: tensor.name for name, tensor in signature.inputs.items()}
    outputs = {name: tensor.name for name, tensor in signature.outputs.items()}

    # TensorFlow Serving fills these in for whoever leaves them out.
    defaults = {inputs[name]: tf.make_ndarray(value) for name, value in signature.defaults.items()}

    def run(ids: np.ndarray, count: int) -> int:
        texts = [bytes(row.tolist()) for row in ids]
        answer = session.run(outputs, defaults | {inputs["prompt"]: texts, inputs["max_new_tokens"]: [count]})
        return int(answer["token_count"].sum())

    return run, values


def hugging_face(dtype: str, values: dict[str, Any]) -> Engine | None:
    """Transformers' own `generate` on PyTorch, with its key-value cache."""
    try:
        import torch
        import transformers
    except ImportError:
        return None
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    names = {"attention/qkv": "attn.c_attn", "attention/output": "attn.c_proj", "intermediate": "mlp.c_fc",
             "output": "mlp.c_proj", "attention_norm": "ln_1", "output_norm": "ln_2"}
    kinds = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
    state = {"transformer.wte.weight": values["token_embedding/embeddings"],
             "transformer.wpe.weight": values["position_embedding/embeddings"],
             "transformer.ln_f.weight": values["final_norm/gamma"], "transformer.ln_f.bias": values["final_norm/beta"]}
    for index, (part, name), (kind, suffix) in itertools.product(range(LAYERS), names.items(), kinds.items()):
        if (value := values.get(f"block_{index}/{part}/{kind}")) is not None:
            state[f"transformer.h.{index}.{name}.{suffix}"] = value
    state["lm_head.weight"] = state["transformer.wte.weight"]
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    model = model.to(getattr(torch, dtype))

    threads: dict[int, int] = {}

    def run(ids: np.ndarray, count: int) -> int:
        if len(ids) not in threads:
            threads[len(ids)] = 1
            threads[len(ids)] = min((1, os.cpu_count() or 1), key=lambda number: _seconds_with(number, ids))
        return with_threads(ids, count, threads[len(ids)])

    def _seconds_with(number: int, ids: np.ndarray) -> float:
        with_threads(ids, 2, number)
        start = time.perf_counter()
        with_threads(ids, 6, number)
        return time.perf_counter() - start

    def with_threads(ids: np.ndarray, count: int, number: int) -> int:
        torch.set_num_threads(number)
        given = torch.tensor(ids.astype(np.int64))
        with torch.inference_mode():
            result = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=count,
                                    min_new_tokens=count, do_sample=False, pad_token_id=VOCABULARY - 1)
        return int(result.shape[0] * (result.shape[1] - ids.shape[1]))

    return run


def ctranslate2(dtype: str, values: dict[str, Any], folder: Path) -> Engine | None:
    """CTranslate2's own generator over the same parameters; its int8 has a factor for each output, too."""
    if dtype == "bfloat16":
        return None  # it computes in them on GPUs alone
    try:
        import ctranslate2
        from ctranslate2.specs import transformer_spec
    except ImportError:
        return None
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        LAYERS, HEADS, pre_norm=True, activation=ctranslate2.specs.Activation.GELUTanh)
    decoder = spec.decoder
    decoder.scale_embeddings = False

    def norm(place: Any, name: str) -> None:
        place.gamma, place.beta = values[f"{name}/gamma"], values[f"{name}/beta"]

    def linear(place: Any, name: str) -> None:
        place.weight, place.bias = np.ascontiguousarray(values[f"{name}/kernel"].T), values[f"{name}/bias"]

    decoder.embeddings.weight = values["token_embedding/embeddings"]
    decoder.position_encodings.encodings = values["position_embedding/embeddings"]
    decoder.projection.weight = values["token_embedding/embeddings"]
    norm(decoder.layer_norm, "final_norm")
    for index, layer in enumerate(decoder.layer):
        norm(layer.self_attention.layer_norm, f"block_{index}/attention_norm")
        linear(layer.self_attention.linear[0], f"block_{index}/attention/qkv")
        linear(layer.self_attention.linear[1], f"block_{index}/attention/output")
        norm(layer.ffn.layer_norm, f"block_{index}/output_norm")
        linear(layer.ffn.linear_0, f"block_{index}/intermediate")
        linear(layer.ffn.linear_1, f"block_{index}/output")
    words = [str(number) for number in range(VOCABULARY)]
    spec.register_vocabulary(words)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = words[-1]
    spec.validate()
    spec.optimize(quantization=None if dtype == "float32" else dtype)
    spec.save(str(folder))
    generator = ctranslate2.Generator(str(folder), device="cpu", intra_threads=os.cpu_count() or 1,
                                      compute_type=dtype)

    def run(ids: np.ndarray, count: int) -> int:
        results = generator.generate_batch([[words[number] for number in row] for row in ids], max_length=count,
                                           min_length=count, sampling_topk=1, include_prompt_in_result=False)
        return sum(len(result.sequences_ids[0]) for result in results)

    return run


def keras_hub(dtype: str, values: dict[str, Any], count: int) -> Engine:
    """keras-hub's own `generate` with the token ids given, compiled as it compiles by itself."""
    import keras
    import keras_hub

    keras.config.set_dtype_policy("float32")
    backbone = keras_hub.models.GPT2Backbone(vocabulary_size=VOCABULARY, num_layers=LAYERS, num_heads=HEADS,
                                             hidden_dim=WIDTH, intermediate_dim=4 * WIDTH,
                                             max_sequence_length=1024, dtype=dtype)
    for variable in backbone.variables:
        if "seed_generator" not in variable.path:
            variable.assign(_keras_hub_value(variable.path, values).reshape(variable.shape))
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    model.compile(sampler="greedy")

    def run(ids: np.ndarray, new: int) -> int:
        total = PROMPT + count  # one shape, one trace
        tokens = np.zeros((len(ids), total), np.int32)
        tokens[:, :PROMPT] = ids
        mask = np.zeros((len(ids), total), bool)
        mask[:, :total - new] = True
        model.generate({"token_ids": tokens, "padding_mask": mask}, stop_token_ids=None)
        return len(ids) * new

    return run


def _keras_hub_value(path: str, values: dict[str, Any]) -> np.ndarray:
    if path.startswith("token_embedding"):
        return values["token_embedding/embeddings"]
    if path.startswith("position_embedding"):
        return values["position_embedding/embeddings"]
    if path.startswith("layer_norm/"):
        return values[f"final_norm/{path.rsplit('/', 1)[1]}"]
    block, part = path.removeprefix("transformer_layer_").split("/", 1)
    kind = part.rsplit("/", 1)[1]
    for index, name in enumerate(("query", "key", "value")):
        if part.startswith(f"self_attention/{name}"):
            return np.split(values[f"block_{block}/attention/qkv/{kind}"], 3, axis=-1)[index]
    names = {"self_attention/attention_output": "attention/output", "self_attention_layer_norm": "attention_norm",
             "feedforward_intermediate_dense": "intermediate", "feedforward_output_dense": "output",
             "feedforward_layer_norm": "output_norm"}
    return values[f"block_{block}/{names[part.rsplit('/', 1)[0]]}/{kind}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=list(BYTES), choices=list(BYTES))
    arguments = parser.parse_args()
    bandwidth = bytes_per_second(os.cpu_count() or 1)
    table: list[tuple[str, int, str, list[float]]] = []
    for dtype in arguments.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            run, values = ours(dtype, Path(folder))
            peers = Path(folder) / "ctranslate2"
            peers.mkdir()
            engines: dict[str, Engine | None] = {"zoo, served signature": run,
                                                 "CTranslate2": ctranslate2(dtype, values, peers)}
            if dtype != "int8":  # which those two have not
                engines |= {"transformers on PyTorch": hugging_face(dtype, values),
                            "keras-hub generate": keras_hub(dtype, values, arguments.new_tokens)}
            ready = {name: engine for name, engine in engines.items() if engine is not None}
            for batch in arguments.batches:
                ids = np.random.default_rng(0).integers(97, 123, (batch, PROMPT)).astype(np.int32)
                rows = {name: (dtype, batch, name, []) for name in ready}
                for engine in ready.values():
                    engine(ids, 2)
                for round_number, (name, engine) in itertools.product(range(arguments.rounds), ready.items()):
                    start = time.perf_counter()
                    tokens = engine(ids, arguments.new_tokens)
                    seconds = time.perf_counter() - start
                    rows[name][3].append(tokens / seconds)
                    print(f"  {dtype} batch {batch} round {round_number}: {name} {tokens / seconds:.1f} tokens/s, "
                          f"load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                bandwidth = max(bandwidth, bytes_per_second(os.cpu_count() or 1))
                table += rows.values()
    parameters = sum(int(np.prod(value.shape)) for path, value in values.items() if "position" not in path)
    print(f"memory: {bandwidth / 1e9:.1f} GB/s; load {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")
    print("| dtype | batch | engine | tokens/s, best | median | ours is | of the limit |")
    print("|---|---|---|---|---|---|---|")
    best = {(dtype, batch, name): max(speeds) for dtype, batch, name, speeds in table}
    for dtype, batch, name, speeds in table:
        limit = batch * bandwidth / (parameters * BYTES[dtype])
        ratio = best[dtype, batch, "zoo, served signature"] / max(speeds)
        print(f"| {dtype} | {batch} | {name} | {max(speeds):.1f} | {np.median(speeds):.1f} | {ratio:.2f}x | "
              f"{100 * max(speeds) / limit:.0f}% of {limit:.0f} |")


if __name__ == "__main__":
    main()
