"""MODEL_CARD.md of an exported version: what a person must know before relying on it, from the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from serving.export.candidates_card import compared_exports
from serving.export.eight_bits_card import eight_bits
from serving.manifest import Manifest, SignatureContract

MODEL_CARD_FILE = "MODEL_CARD.md"
_UNKNOWN = "not recorded"
_SHOWN_TENSORS = 8
# What a text is measured in, by the kind of preprocessing.
_UNITS = {"text": "words", "wordpiece": "word pieces (special ones included)", "byte_pair": "tokens"}
_ONE_PIXEL_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="


def model_card(manifest: Manifest) -> str:
    """The card's text.

    Args:
        manifest: The manifest of the version, its record included; the list of files is not used.
    """
    record = manifest.record
    sections = [
        [f"# {manifest.name}", record.get("description") or f"A model for {_words(manifest.task)}."],
        ["## What it is", *_facts(manifest)],
        ["## How to call it", *_calls(manifest)],
        ["## How good it is", *_metrics(record.get("metrics") or {})],
        ["## Where it comes from", *_provenance(record)],
        ["## What it cannot do", *_limits(manifest)],
    ]
    if "serving_threads" in manifest.optimization:
        sections.insert(3, ["## How many threads to serve it with",
                            *_threads(manifest.optimization["serving_threads"])])
    if "asked" in manifest.optimization:
        sections.insert(3, ["## How its graph was rewritten", *_rewriting(manifest.optimization)])
    if "selection" in manifest.optimization:
        sections.insert(4, ["## Which exports were compared", *compared_exports(manifest.optimization)])
    return "\n\n".join("\n".join([section[0], "", *section[1:]]) for section in sections) + "\n"


def _facts(manifest: Manifest) -> Iterator[str]:
    record = manifest.record
    yield f"- Model: {record['name']}" + (f" ({record['family']})" if record.get("family") else "")
    yield f"- Task: {_words(manifest.task)}; input: {record['input_kind']}"
    yield f"- Licence: {record.get('licence') or _UNKNOWN}"
    yield f"- Paper: {record.get('paper') or _UNKNOWN}"
    if manifest.top_k is not None and manifest.task != "masked_language_model":
        labels = manifest.labels
        shown = ", ".join(labels[:10]) + (f", ... ({len(labels)} in all)" if len(labels) > 10 else "")
        yield f"- Labels: {shown or 'none recorded; answers name classes by number'}"
    if manifest.threshold is not None:
        positive = manifest.labels[1] if len(manifest.labels) == 2 else "1"
        yield f"- Decides for `{positive}` from a probability of {manifest.threshold:g} on"
    yield f"- Preprocessing (inside the model): `{json.dumps(_short(record['preprocessing']), ensure_ascii=False)}`"


# === Signatures ===


def _calls(manifest: Manifest) -> Iterator[str]:
    yield "| signature | call | takes | gives |"
    yield "| --- | --- | --- | --- |"
    for name, signature in manifest.signatures.items():
        takes, gives = _tensors(signature.inputs, signature.defaults), _tensors(signature.outputs, {})
        yield f"| `{name}` | {signature.method} | {takes} | {gives} |"
    if any(signature.defaults for signature in manifest.signatures.values()):
        yield "\nOver gRPC a request may leave out inputs with `=`; REST wants every input."
    for name, reason in manifest.left_out.items():
        yield f"\nThere is no signature `{name}`: {reason}."
    name, signature = _favourite(manifest)
    body = {"signature_name": name, "instances": [_example_row(signature)]}
    yield ""
    yield "With TensorFlow Serving or `zoo serve` on this machine:"
    yield ""
    yield "```sh"
    yield f"curl -d '{json.dumps(body, ensure_ascii=False)}' \\"
    yield f"  http://127.0.0.1:8501/v1/models/{manifest.name}:predict"
    yield "```"
    yield ""
    yield "```python"
    yield "from serving.client import PredictClient"
    yield ""
    yield 'with PredictClient("grpc://127.0.0.1:8500") as client:'
    yield f'    answer = client.predict("{manifest.name}", {_python_inputs(signature)}, signature_name="{name}")'
    yield "```"


def _tensors(tensors: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    shown = [f"`{name}` {tensor.dtype} {_sizes(tensor.shape)}" + _default(name, defaults)
             for name, tensor in tensors.items()]
    return ", ".join(shown[:_SHOWN_TENSORS]) + (f", ... ({len(shown)} columns)" if len(shown) > _SHOWN_TENSORS else "")


def _default(name: str, defaults: Mapping[str, Any]) -> str:
    return f" = {json.dumps(_short(defaults[name]), ensure_ascii=False)}" if name in defaults else ""


def _sizes(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join(['N', *('?' if size is None else str(size) for size in shape[1:])])}]"


def _favourite(manifest: Manifest) -> tuple[str, SignatureContract]:
    """The signature that takes what a client has at hand."""
    for name in ("serve_bytes", "serve_text", "serve_columns"):
        if name in manifest.signatures:
            return name, manifest.signatures[name]
    return next(iter(manifest.signatures.items()))


def _example_row(signature: SignatureContract) -> dict[str, Any]:
    return {name: _example_value(name, tensor) for name, tensor in signature.inputs.items()}


def _example_value(name: str, tensor: Any) -> Any:
    if name == "image_bytes":
        return {"b64": _ONE_PIXEL_PNG}
    if tensor.dtype == "string":
        return "some text"
    value: Any = 0.5 if tensor.dtype.startswith("float") else 1
    sizes = [size or 1 for size in tensor.shape[1:]]
    if _count(sizes) > 16:
        return "... nested lists of shape " + "x".join(map(str, sizes))
    for size in reversed(sizes):
        value = [value] * size
    return value


def _count(sizes: list[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _python_inputs(signature: SignatureContract) -> str:
    examples = {"image_bytes": 'open("photo.jpg", "rb").read()', "text": '"some text"'}
    inputs = [f'"{name}": [{examples.get(name, "...")}]' for name in list(signature.inputs)[:4]]
    return "{" + ", ".join(inputs) + (", ..." if len(signature.inputs) > 4 else "") + "}"


# === Rewriting ===


def _rewriting(optimization: Mapping[str, Any]) -> Iterator[str]:
    passes = optimization.get("passes", ())
    if "reason" in optimization:
        yield (f"`{optimization['asked']}` was asked for, and the graph is what Keras computes: "
               f"{optimization['reason']}.")
    else:
        yield f"`{optimization['asked']}` was asked for; the weights are {optimization['weights']} of the graph."
    yield from _processors(optimization)
    if not passes:
        return
    yield (f"Each pass was compared with the Keras model on {optimization['rows']} sample rows. Errors are the largest "
           "difference, relative to the largest value, of everything up to the pass.")
    yield ""
    yield "| pass | kept | nodes | error | before the activation | same label |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for step in passes:
        kept = "yes" if step["kept"] else f"no: {step['reason']}"
        yield (f"| {step['name']} | {kept} | {step['nodes']} | {_figure(step['error'])} | "
               f"{_figure(step['error_before_activation'])} | {_share(step['same_label'])} |")
    yield from eight_bits(optimization)


def _processors(optimization: Mapping[str, Any]) -> Iterator[str]:
    if "cores" in optimization:
        yield (f"It is for {optimization['cores']} processor(s); the rows of a request are computed in up to "
               f"{optimization['row_parts']} part(s) side by side.")


def _threads(tuned: Mapping[str, Any]) -> Iterator[str]:
    chosen = "are in `server.flags`" if tuned["threads"] else "are left to the server"
    yield (f"With one thread for each operation it is {tuned['ratio']:g} times as fast as with all, by the medians of "
           f"calls in turns ({_medians(tuned['milliseconds'])}); the threads {chosen}.")


def _medians(milliseconds: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(f"{name}: " + ", ".join(f"{value:g} ms for {size}" for size, value in by_size.items())
                     for name, by_size in milliseconds.items())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


# === Quality and origin ===


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    rows = list(_flat("", metrics))
    if not rows:
        yield "No measurement is recorded. Evaluate the model before you rely on it."
        return
    yield "| measured | value |"
    yield "| --- | --- |"
    for name, value in rows:
        yield f"| {name} | {value:.4g} |" if isinstance(value, float) else f"| {name} | {value} |"


def _flat(prefix: str, metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in metrics.items():
        path = f"{prefix} {name}".strip()
        if isinstance(value, Mapping):
            yield from _flat(path, value)
        elif isinstance(value, int | float | str):
            yield path, value


def _provenance(record: Mapping[str, Any]) -> Iterator[str]:
    weights, training = record.get("weights") or {}, dict(record.get("training") or {})
    search = training.pop("search", None)
    yield "- Weights: " + (", ".join(f"{key} {value}" for key, value in _flat("", weights)) or "random or " + _UNKNOWN)
    for step in weights.get("pruning", ()):
        yield f"- Pruned: {_pruning(step)}"
    yield "- Training: " + (", ".join(f"{key} {value}" for key, value in _flat("", training)) or _UNKNOWN)
    if isinstance(search, Mapping):
        yield f"- Search: {_search(search)}"


def _pruning(step: Mapping[str, Any]) -> str:
    """What was cut, what decided, and what is left of parameters and arithmetic."""
    before, after = step["before"], step["after"]
    cut = step["settings"].get("pattern") or f"{step['fraction']:.0%}"
    arithmetic = f", {after['flops'] / before['flops']:.0%} of the arithmetic" if before["flops"] else ""
    return (f"{cut} of {step['method'].replace('+', ', ')} (by {step['criterion']}); "
            f"{after['nonzero'] / before['nonzero']:.0%} of the parameters are left{arithmetic}")


def _search(search: Mapping[str, Any]) -> str:
    """Which trial of which search, what was chosen in it, and what for."""
    place = ", the best" if search.get("best") else ", on the Pareto front" if search.get("on_front") else ""
    of = f"{place} of {search['trials']}" if "trials" in search else ""
    wanted = " and ".join([*search.get("objectives", ()), *search.get("constraints", ())])
    return (f"trial {search.get('trial')}{of} in `{search.get('folder')}`, searched for {wanted} "
            f"({search.get('oracle')}, seed {search.get('seed')}); chosen: {_listed(search.get('values') or {})}; "
            f"measured: {_listed(search.get('measures') or {})}")


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in values.items()) or _UNKNOWN


def _limits(manifest: Manifest) -> Iterator[str]:
    if manifest.task in ("classification", "binary_classification"):
        yield "- It always answers with one of its labels, for inputs that show none of them as well."
        yield "- Its scores are comparable between its labels; whether they are calibrated is a matter of measurement."
    preprocessing = manifest.record["preprocessing"]
    kind = preprocessing["kind"]
    if kind == "image":
        yield "- One unreadable picture in a request fails the whole request."
    if kind in _UNITS:
        end = "last" if preprocessing.get("truncation") == "left" else "first"
        yield (f"- It reads the {end} {preprocessing['max_length']} {_UNITS[kind]} of a text and no more; the output "
               "`truncated` says where something was cut off.")
    if kind == "tabular":
        yield "- A category that was not in its training data counts as none."
    yield "- How it does on data unlike its training data is not known."


def _short(value: Any) -> Any:
    """Preprocessing with long lists (vocabularies) cut."""
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_short(item) for item in value[:8]]
        return [*items, f"... {len(value)} in all"] if len(value) > 8 else items
    return value


def _words(task: str) -> str:
    return task.replace("_", " ")
