"""Writes what an engine loads: `python -m benchmarks.engines.prepare MODEL ARTIFACT FOLDER`, a process each.

All artifacts come from the one bundle in the folder, so that every engine has the same weights. Each is written under
a name of its own, and counts as there once its folder has that name. Threads are those of TF_NUM_INTRAOP_THREADS.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.subjects import CALIBRATION_ROWS, SUBJECTS, Subject, build, drawn, inputs_of

LARGEST_BATCH = 32


def bundle(subject: Subject, root: Path, folder: Path) -> None:
    """The model itself, the inputs and the answers to compare with."""
    import zoo.bundle

    model = build(subject)
    zoo.bundle.save(model, folder / "model")
    inputs = inputs_of(model, drawn(subject, LARGEST_BATCH, seed=11))
    np.savez(folder / "inputs.npz", **named(model, inputs))
    np.savez(folder / "calibration.npz", **named(model, inputs_of(model, drawn(subject, CALIBRATION_ROWS, seed=5))))
    rows = [array[:8] for array in inputs]
    np.save(folder / "answers.npy", np.asarray(model(rows if subject.text else rows[0], training=False)))


def named(model: Any, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by the name of the model's input."""
    return {tensor.name: array for tensor, array in zip(model.inputs, arrays, strict=True)}


def loaded(root: Path) -> Any:
    """The bundle's model."""
    import zoo.bundle

    return zoo.bundle.load(root / "bundle" / "model")


def saved_model(subject: Subject, root: Path, folder: Path) -> None:
    """What Keras's own export writes."""
    loaded(root).export(folder / "1", verbose=False)


def zoo_export(level: str) -> Callable[[Subject, Path, Path], None]:
    """An export of ours at a level."""
    def write(subject: Subject, root: Path, folder: Path) -> None:
        from serving.export import export_model

        threads = int(os.environ["TF_NUM_INTRAOP_THREADS"])
        result = export_model(loaded(root), folder / "repository", name="m", version=1, optimize=level, validate=False,
                              samples=drawn(subject, 4, seed=21), cores=threads, tune_threads=True,
                              calibration=drawn(subject, CALIBRATION_ROWS, seed=5))
        told = json.loads((result.path / "manifest.json").read_text())["optimization"]
        (folder / "optimization.json").write_text(json.dumps(told))
        wanted = "float32" if level == "safe" else level
        if told.get("precision") != wanted:
            dropped = [f"{step['name']}: {step['reason']}" for step in told.get("passes", ()) if step.get("error")
                       and not step["kept"]]
            raise SystemExit(f"The export is not in {wanted} but in {told.get('precision', 'what Keras writes')}; "
                             f"{'; '.join(dropped) or told.get('reason')}")

    return write


def torch_module(subject: Subject, root: Path, folder: Path) -> None:
    """The PyTorch module, with the operations of one row that it counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.engines.torch_models import bert, network

    model = loaded(root)
    module = bert(model) if subject.text else network(model)
    given = torch_inputs(root, 1)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(*given)
    sizes = {"operations": counter.get_total_flops(), "weight_bytes": sum(
        parameter.nbytes for name, parameter in module.named_parameters() if "embeddings" not in name)}
    (folder / "sizes.json").write_text(json.dumps(sizes))
    torch.save(module, folder / "module.pt")


def torch_inputs(root: Path, batch: int) -> tuple[Any, ...]:
    """The first rows of the inputs as PyTorch has them: channels first, indices of 64 bits."""
    import torch

    return tuple(torch.from_numpy(array) for array in foreign_inputs(root, batch).values())


def foreign_inputs(root: Path, batch: int, kind: str = "inputs") -> dict[str, np.ndarray]:
    """The first rows of the inputs as networks outside of TensorFlow have them."""
    with np.load(root / "bundle" / f"{kind}.npz") as arrays:
        rows = {name: arrays[name][:batch] for name in arrays.files}
    return {name: np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array.astype(np.int64))
            for name, array in rows.items()}


def onnx_file(subject: Subject, root: Path, folder: Path) -> None:
    """The PyTorch module as ONNX; a BERT with the fusions of ONNX Runtime's own tool."""
    import torch

    from benchmarks.engines.torch_models import bert

    # The tool knows the attention that is written out.
    module = bert(loaded(root), "eager") if subject.text else torch.load(root / "torch" / "module.pt",
                                                                         weights_only=False)
    names = list(foreign_inputs(root, 1))
    axes = {name: {0: "rows", **({1: "tokens"} if subject.text else {})} for name in names} | {"answer": {0: "rows"}}
    plain = folder / "plain.onnx"
    torch.onnx.export(module, torch_inputs(root, 2), str(plain), input_names=names, output_names=["answer"],
                      dynamic_axes=axes, opset_version=17, dynamo=False)
    if subject.text:
        from onnxruntime.transformers import optimizer

        layer = module.model.config
        fused = optimizer.optimize_model(str(plain), "bert", num_heads=layer.num_attention_heads,
                                         hidden_size=layer.hidden_size, opt_level=0, only_onnxruntime=False)
        (folder / "fused.json").write_text(json.dumps(fused.get_fused_operator_statistics()))
        fused.save_model_to_file(str(folder / "model.onnx"))
    else:
        shutil.copy(plain, folder / "model.onnx")


class Rows:
    """Calibration rows, one at a time, for ONNX Runtime's tool."""

    def __init__(self, root: Path) -> None:
        arrays = foreign_inputs(root, CALIBRATION_ROWS, "calibration")
        self.rows: Iterator[dict[str, np.ndarray]] = (
            {name: array[index:index + 1] for name, array in arrays.items()} for index in range(CALIBRATION_ROWS))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next row, or None."""
        return next(self.rows, None)


def onnx_int8(subject: Subject, root: Path, folder: Path) -> None:
    """As its users do: static ranges for convolutions, dynamic ones for Transformers."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, target = str(root / "onnx" / "model.onnx"), str(folder / "model.onnx")
    if subject.text:
        # The fusions' own operators hide the types behind them.
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8, per_channel=True,
                                      extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        return
    quant_pre_process(source, str(folder / "shaped.onnx"))
    # Eight bits are too few for probabilities.
    last = [node.name for node in onnx.load(folder / "shaped.onnx").graph.node if node.op_type == "Softmax"]
    quantization.quantize_static(str(folder / "shaped.onnx"), target, Rows(root), per_channel=True,
                                 nodes_to_exclude=last,
                                 quant_format=quantization.QuantFormat.QDQ,
                                 activation_type=quantization.QuantType.QUInt8,
                                 weight_type=quantization.QuantType.QInt8)


def openvino(subject: Subject, root: Path, folder: Path) -> None:
    """OpenVINO's own format, read from ONNX without the other tool's fusions."""
    import openvino as ov

    ov.save_model(ov.convert_model(root / "onnx" / "plain.onnx"), folder / "model.xml", compress_to_fp16=False)


def openvino_int8(subject: Subject, root: Path, folder: Path) -> None:
    """Quantised by NNCF with the same calibration rows."""
    import nncf
    import openvino as ov

    rows = Rows(root)
    data = nncf.Dataset(list(iter(rows.get_next, None)))
    kind = nncf.ModelType.TRANSFORMER if subject.text else None
    quantised = nncf.quantize(ov.Core().read_model(root / "openvino" / "model.xml"), data, model_type=kind,
                              preset=nncf.QuantizationPreset.MIXED if subject.name != "resnet50" else None,
                              subset_size=CALIBRATION_ROWS)
    ov.save_model(quantised, folder / "model.xml", compress_to_fp16=False)


ARTIFACTS: Mapping[str, Callable[[Subject, Path, Path], None]] = {
    "bundle": bundle, "saved_model": saved_model, "zoo_safe": zoo_export("safe"),
    "zoo_bfloat16": zoo_export("bfloat16"), "zoo_int8": zoo_export("int8"), "torch": torch_module, "onnx": onnx_file,
    "onnx_int8": onnx_int8, "openvino": openvino, "openvino_int8": openvino_int8,
}


def main() -> None:
    name, artifact, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    target, unfinished = root / artifact, root / f"{artifact}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with contextlib.redirect_stdout(sys.stderr):
        ARTIFACTS[artifact](SUBJECTS[name], root, unfinished)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)


if __name__ == "__main__":
    main()
