"""The same networks in PyTorch, as its users write them: channels first, padding inside the convolution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Steps(nn.Module):
    """A network as a list of steps, each with the names of what it reads."""

    def __init__(self, steps: Sequence[tuple[nn.Module, tuple[str, ...], str]], given: str, result: str) -> None:
        super().__init__()
        self.modules_in_order = nn.ModuleList(module for module, _, _ in steps)
        self.wires = [(reads, gives) for _, reads, gives in steps]
        self.given, self.result = given, result

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Runs the steps on an image [N, 3, H, W]."""
        values = {self.given: image}
        for module, (reads, gives) in zip(self.modules_in_order, self.wires, strict=True):
            values[gives] = module(*(values[name] for name in reads))
        return values[self.result]


class Scaling(nn.Module):
    """x * scale + offset, per channel or for all alike."""

    def __init__(self, scale: Any, offset: Any) -> None:
        super().__init__()
        self.register_buffer("scale", _per_channel(scale))
        self.register_buffer("offset", _per_channel(offset))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scales."""
        return x * self.scale + self.offset


class Padding(nn.Module):
    """Zeros around a picture."""

    def __init__(self, padding: tuple[tuple[int, int], tuple[int, int]]) -> None:
        super().__init__()
        (top, bottom), (left, right) = padding
        self.sizes = (left, right, top, bottom)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pads."""
        return functional.pad(x, self.sizes)


class Mean(nn.Module):
    """The mean of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Averages."""
        return x.mean((2, 3))


class Flat(nn.Module):
    """A picture as a vector, in the order of a picture with the channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reshapes."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Spread(nn.Module):
    """A vector as a picture of one pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reshapes."""
        return x[:, :, None, None]


class Sum(nn.Module):
    """a + b."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Adds."""
        return a + b


class Product(nn.Module):
    """a * b."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Multiplies."""
        return a * b


class Texts(nn.Module):
    """Hugging Face's BERT with probabilities behind it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, token_ids: torch.Tensor, segment_ids: torch.Tensor, padding_mask: torch.Tensor) -> torch.Tensor:
        """Judges texts."""
        answer = self.model(input_ids=token_ids, token_type_ids=segment_ids, attention_mask=padding_mask)
        return answer.logits.softmax(-1)


def _per_channel(value: Any) -> torch.Tensor:
    array = np.asarray(value, np.float32)
    return torch.tensor(array.reshape(-1, 1, 1) if array.size > 1 else array.reshape(()))


# === From Keras ===


def network(model: Any, logits: bool = False) -> nn.Module:
    """A convolutional keras.Model as a PyTorch module with the same weights; with or without the last softmax."""
    steps: list[tuple[nn.Module, tuple[str, ...], str]] = []
    names: dict[int, str] = {}
    pads: dict[str, tuple[str, int]] = {}  # symmetric padding waits for the layer that takes it in
    for layer in model.layers:
        node = layer._inbound_nodes[0]
        names[id(node.output_tensors[0])] = layer.name
        reads = tuple(names[id(tensor)] for tensor in node.arguments.keras_tensors)
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind == "ZeroPadding2D" and len({size for axis in layer.padding for size in axis}) == 1:
            pads[layer.name] = (reads[0], layer.padding[0][0])
            continue
        padding = 0
        if reads[0] in pads:
            source, padding = pads[reads[0]]
            reads = (source, *reads[1:])
        size = node.arguments.keras_tensors[0].shape[1:3]
        for number, module in enumerate(parts := _modules(layer, kind, padding, size)):
            gives = layer.name if number == len(parts) - 1 else f"{layer.name}/{number}"
            module = nn.Identity() if logits and isinstance(module, nn.Softmax) else module
            steps.append((module, reads, gives))
            reads = (gives,)
    return Steps(steps, model.inputs[0].name, model.layers[-1].name).eval()


def _modules(layer: Any, kind: str, padding: int, size: Any) -> list[nn.Module]:
    match kind:
        case "Conv2D" | "DepthwiseConv2D":
            return _convolution(layer, kind, padding, size) + _activation(layer)
        case "Dense":
            dense = nn.Linear(*layer.kernel.shape)
            _fill(dense.weight, layer.kernel.numpy().T)
            _fill(dense.bias, layer.bias.numpy())
            return [dense, *_activation(layer)]
        case "BatchNormalization":
            norm = nn.BatchNorm2d(layer.gamma.shape[0], layer.epsilon, 1 - layer.momentum)
            for target, source in ((norm.weight, layer.gamma), (norm.bias, layer.beta),
                                   (norm.running_mean, layer.moving_mean), (norm.running_var, layer.moving_variance)):
                _fill(target, source.numpy())
            return [norm]
        case "Activation":
            return _activation(layer)
        case "ReLU":
            return [nn.ReLU6() if layer.max_value == 6 else nn.ReLU()]
        case "MaxPooling2D":  # behind a ReLU, where zeros around are the same as nothing around
            return [nn.MaxPool2d(layer.pool_size, layer.strides, padding)]
        case "Rescaling":
            return [Scaling(layer.scale, layer.offset)]
        case "StoredNormalization":
            factor = np.asarray(layer.scale) / np.sqrt(np.asarray(layer.variance)).reshape(-1)
            return [Scaling(factor, -np.asarray(layer.mean).reshape(-1) * factor)]
        case "ZeroPadding2D":
            return [Padding(layer.padding)]
        case "Dropout":
            return [nn.Dropout(layer.rate)]
        case "Flatten":
            return [Flat()]
    return [{"Add": Sum, "Multiply": Product, "GlobalAveragePooling2D": Mean, "Reshape": Spread}[kind]()]


def _convolution(layer: Any, kind: str, padding: int, size: Any) -> list[nn.Module]:
    kernel = layer.kernel.numpy()
    height, _, inputs, outputs = kernel.shape
    stride = layer.strides[0]
    parts: list[nn.Module] = []
    if layer.padding == "same":
        around = [max((-(-extent // stride) - 1) * stride + height - extent, 0) for extent in size]
        if any(total % 2 for total in around):
            parts.append(Padding(tuple((total // 2, total - total // 2) for total in around)))
        else:
            padding = around[0] // 2
    if kind == "DepthwiseConv2D":
        convolution = nn.Conv2d(inputs, inputs * outputs, height, stride, padding, groups=inputs, bias=layer.use_bias)
        kernel = kernel.transpose(2, 3, 0, 1).reshape(inputs * outputs, 1, height, height)
    else:
        convolution = nn.Conv2d(inputs, outputs, height, stride, padding, bias=layer.use_bias)
        kernel = kernel.transpose(3, 2, 0, 1)
    _fill(convolution.weight, kernel)
    if layer.use_bias:
        _fill(convolution.bias, layer.bias.numpy())
    return [*parts, convolution]


def _activation(layer: Any) -> list[nn.Module]:
    made = {"linear": None, "relu": nn.ReLU(), "silu": nn.SiLU(), "sigmoid": nn.Sigmoid(), "softmax": nn.Softmax(-1)}
    module = made[getattr(layer.activation, "__name__", str(layer.activation))]
    return [] if module is None else [module]


def _fill(target: torch.Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        target.copy_(torch.tensor(values))


def bert(model: Any, attention: str = "sdpa", dropout: float = 0.1) -> nn.Module:
    """A BERT of ours as Hugging Face's, with the same weights."""
    import transformers

    from zoo.spec import record_of

    values = {variable.path: np.asarray(variable.numpy()) for variable in model.variables}
    sizes = record_of(model).arguments
    layers, width = sizes.get("layers", 12), sizes.get("hidden_size", 768)
    made = transformers.BertForSequenceClassification(transformers.BertConfig(
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, hidden_size=width,
        num_hidden_layers=layers, num_attention_heads=sizes.get("heads", 12),
        intermediate_size=4 * width, num_labels=values["predictions/bias"].shape[0], attn_implementation=attention))
    names = {"token_embedding/embeddings": "bert.embeddings.word_embeddings.weight",
             "position_embedding/embeddings": "bert.embeddings.position_embeddings.weight",
             "segment_embedding/embeddings": "bert.embeddings.token_type_embeddings.weight",
             "embedding_norm": "bert.embeddings.LayerNorm", "pooler": "bert.pooler.dense", "predictions": "classifier"}
    parts = {"attention/output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
             "intermediate": "intermediate.dense", "output": "output.dense", "output_norm": "output.LayerNorm"}
    for index, (ours, theirs) in itertools.product(range(layers), parts.items()):
        names[f"block_{index}/{ours}"] = f"bert.encoder.layer.{index}.{theirs}"
    state: dict[str, np.ndarray] = {}
    for path, value in values.items():
        layer, kind = path.rsplit("/", 1)
        if path in names:
            state[names[path]] = value
        elif layer in names:
            state[f"{names[layer]}.{'weight' if kind in ('kernel', 'gamma') else 'bias'}"] = value.T
        elif layer.endswith("attention/qkv"):
            block = layer.split("/")[0].removeprefix("block_")
            for name, part in zip(("query", "key", "value"), np.split(value, 3, axis=-1), strict=True):
                kept = "weight" if kind == "kernel" else "bias"
                state[f"bert.encoder.layer.{block}.attention.self.{name}.{kept}"] = part.T
    missing, unknown = made.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
    if unknown or any("position_ids" not in name for name in missing):
        raise ValueError(f"Weights without a place: {unknown}; places without weights: {missing}")
    return Texts(made).eval()
