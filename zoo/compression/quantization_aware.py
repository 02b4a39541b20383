"""Training for eight bits: convolutions and dense layers compute with rounded numbers while the model learns.

The model that comes out is the plain one that went in, with parameters for which rounding costs little (Jacob et al.
2018, https://arxiv.org/abs/1712.05877, section 3), and its record holds the ranges that were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import tensorflow as tf

from zoo.compression.fake_quantization import MovingRange, rounded_activations, rounded_kernel
from zoo.errors import ArgumentError
from zoo.training.fine_tuning import sublayers
from zoo.training.technique import Applied, RunFacts

QUANTIZED = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
_INPUT = ":input"  # behind a layer's path: the range of what it reads, not of what it gives


@dataclass(frozen=True, kw_only=True)
class QuantizationAware:
    """Rounds kernels and activations to eight bits during a training run.

    Use it to fine-tune a trained model: `zoo.training.fit(model, ..., techniques=(QuantizationAware(),))`. The
    measures of the run, those of validation too, are those of the rounded model.

    Attributes:
        statistics: What batch normalisation does: "kept" uses its moving statistics as they are, as an export does;
            "learned" goes on with each batch's own, for a model that has not been trained before.
    """

    statistics: Literal["kept", "learned"] = "kept"

    name = "quantization"

    def __post_init__(self) -> None:
        if self.statistics not in ("kept", "learned"):
            raise ArgumentError(f"`statistics` must be 'kept' or 'learned'. Received: {self.statistics!r}")

    def identity(self) -> Mapping[str, Any]:
        """Returns the settings."""
        return {"bits": 8, "statistics": self.statistics}

    @contextmanager
    def applied(self, model: keras.Model, facts: RunFacts) -> Iterator[Applied]:
        """Lets the layers compute with rounded numbers for a while.

        Args:
            model: The model that learns.
            facts: The run.

        Raises:
            ArgumentError: The model has no layer that eight bits are for, or low-rank adapters.
        """
        if facts.config.lora_rank is not None:
            raise ArgumentError("`lora_rank` trains adapters beside the kernels, and eight bits are for the kernels "
                                "themselves. Leave one of them out.")
        layers = [layer for layer in sublayers(model) if isinstance(layer, QUANTIZED)
                  and not isinstance(layer, keras.layers.Conv2DTranspose)]
        if not layers:
            raise ArgumentError(f"The model {model.name!r} has no dense layer and no convolution over pictures, so "
                                "there is nothing to train for eight bits.")
        work = _Rounding()
        with ExitStack() as stack:
            producers = _producers(model, layers)
            even = {id(maker) for layer in layers for maker in producers[id(layer)] if not _is_dense(layer)}
            for layer in layers:
                reads_rounded = all(tensor_maker is not None for tensor_maker in producers[id(layer)])
                stack.enter_context(_calling(layer, work.layer_call(layer, rounds_input=not reads_rounded)))
            makers = {id(maker): maker for found in producers.values() for maker in found if maker is not None}
            for maker in makers.values():
                stack.enter_context(_calling(maker, work.output_call(maker, shifted=id(maker) not in even)))
            if self.statistics == "kept":
                for layer in sublayers(model):
                    if isinstance(layer, keras.layers.BatchNormalization):
                        stack.enter_context(_calling(layer, _as_inference(layer)))
            yield Applied(state=tuple(known.variable for known in work.ranges.values()),
                          callbacks=(_Watching(work.watching),),
                          outcome=lambda: {**self.identity(), "layers": [_path(layer) for layer in layers],
                                           "ranges": {name: list(known.values())
                                                      for name, known in work.ranges.items()}})


@dataclass(frozen=True)
class _Rounding:
    """The ranges of a run, and the calls that use them."""

    ranges: dict[str, MovingRange] = field(default_factory=dict)
    # Ranges move while training and stand still in validation.
    watching: Any = field(default_factory=lambda: tf.Variable(1.0, trainable=False))

    def round(self, name: str, *, shifted: bool) -> Callable[[Any], Any]:
        """Returns what rounds a tensor to the moving range of the given name; see `rounded_activations`."""
        known = self.ranges.setdefault(name, MovingRange(f"range_{len(self.ranges)}"))

        def rounded(x: Any) -> Any:
            exact = tf.cast(x, tf.float32)
            known.watch(exact, self.watching)
            return tf.cast(rounded_activations(exact, *known.bounds(), shifted=shifted), x.dtype)

        return rounded

    def layer_call(self, layer: Any, *, rounds_input: bool) -> Callable[..., Any]:
        """Returns a layer's computation with a rounded kernel, and a rounded input where nobody else rounds it."""
        plain, kernel = layer.call, layer.kernel
        exact = kernel.value  # read here, where nothing turns it into 16 bits
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        round_input = (self.round(f"{_path(layer)}{_INPUT}", shifted=_is_dense(layer))
                       if rounds_input else None)

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(inputs, keras.KerasTensor):
                return plain(inputs, *args, **kwargs)
            if round_input is not None:
                inputs = round_input(inputs)
            weights = rounded_kernel(tf.convert_to_tensor(exact), depthwise=depthwise)
            with keras.StatelessScope(state_mapping=[(kernel, weights)]):
                return plain(inputs, *args, **kwargs)

        return call

    def output_call(self, maker: Any, *, shifted: bool) -> Callable[..., Any]:
        """Returns an operation's computation with its result rounded, which all that read it then share."""
        plain, round_output = maker.call, self.round(_path(maker), shifted=shifted)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = plain(*args, **kwargs)
            return result if isinstance(result, keras.KerasTensor) else round_output(result)

        return call


def _producers(model: keras.Model, layers: list[Any]) -> dict[int, list[Any]]:
    """Finds what makes the tensors that layers read, by the layer's `id`; None where the layer must round by itself.

    A tensor that several layers read, a residual sum among them, is rounded once where it is made.
    """
    outermost = {id(operation) for operation in model.operations}
    found: dict[int, list[Any]] = {}
    for layer in layers:
        if id(layer) not in outermost:
            found[id(layer)] = [None]
            continue
        tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
        makers = [_maker(tensor) for tensor in tensors]
        usable = all(id(maker) in outermost and not isinstance(maker, keras.layers.InputLayer | keras.Model)
                     and len(maker._inbound_nodes[0].output_tensors) == 1 for maker in makers)
        found[id(layer)] = makers if usable else [None]
    return found


def _is_dense(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Dense)


def _maker(tensor: Any) -> Any:
    """Returns what made a tensor; dropout leaves it as it is wherever the model is used."""
    maker = tensor._keras_history.operation
    while isinstance(maker, keras.layers.Dropout):
        maker = maker._inbound_nodes[0].input_tensors[0]._keras_history.operation
    return maker


def _path(operation: Any) -> str:
    # A layer without parameters has no path, an operation has none at all.
    return str(getattr(operation, "path", None) or operation.name)


@contextmanager
def _calling(operation: Any, call: Callable[..., Any]) -> Iterator[None]:
    """Lets a layer compute in another way for a while; nothing of it enters the layer's state."""
    before = operation.__dict__.get("call")
    object.__setattr__(operation, "call", call)
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(operation, "call")
        else:
            object.__setattr__(operation, "call", before)


def _as_inference(layer: Any) -> Callable[..., Any]:
    plain = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return plain(inputs, training=False, mask=mask)

    return call


class _Watching(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Lets the ranges stand still while the model is validated."""

    def __init__(self, watching: Any) -> None:
        super().__init__()
        self._watching = watching

    def on_test_begin(self, logs: Any = None) -> None:
        """Stops the ranges."""
        self._watching.assign(0.0)

    def on_test_end(self, logs: Any = None) -> None:
        """Lets them move again."""
        self._watching.assign(1.0)
