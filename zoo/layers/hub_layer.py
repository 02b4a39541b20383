"""`HubLayer`: a TensorFlow 2 SavedModel, such as one of TF Hub, as a layer of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.errors import ArgumentError, ChecksumError, WeightsError
from zoo.layers.hub_callable import CALL, HubCallable
from zoo.weights.checkpoint_folder import fetch_folder, recorded_handle
from zoo.weights.saved_model import load_saved_model
from zoo.weights.saved_model_folder import content_sha256


@keras.saving.register_keras_serializable(package="zoo")
class HubLayer(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Runs a SavedModel; its variables are weights of the layer, so they train, save and export with the model.

    Inputs and outputs are those of the SavedModel: a tensor (strings too), or a dict or list of tensors. A Keras file
    keeps the weights, the handle and the sha256 of the module; loading it resolves the handle again and checks the
    content. The graph is checked before it is run: operations that reach files or Python are refused.

    Args:
        handle: Where the SavedModel is: "tfhub:publisher/model/version", "kaggle:...", the page of a model there, the
            address or path of an archive, or a folder; see `zoo.weights.checkpoint_folder.fetch_folder`.
        trainable: Whether training changes the module's trainable variables. A frozen module runs in inference mode.
        output_key: The output to take where the module returns a dict, such as "pooled_output"; None takes all.
        signature: Call this signature, such as "default", in place of the module itself.
        method: Call this method, with dots for parts of parts, in place of the module itself.
        arguments: Further keyword arguments of every call.
        tags: Tags of the graph, where the SavedModel has several.
        sha256: What the content must be, as `zoo.weights.saved_model_folder.content_sha256` computes it; empty takes
            what comes.
        **kwargs: Arguments of every Keras layer, such as `name`.

    Raises:
        ArgumentError: The module has no such function, or nothing that could be trained.
        ChecksumError: The handle leads to other content than that of `sha256`.
        WeightsError: The module cannot be fetched, is not whole, or its graph is refused.
    """

    def __init__(self, handle: str, *, trainable: bool = False, output_key: str | None = None,
                 signature: str | None = None, method: str = CALL, arguments: Mapping[str, Any] | None = None,
                 tags: Sequence[str] | None = None, sha256: str = "", **kwargs: Any) -> None:
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        self.output_key, self.signature, self.method = output_key, signature, method
        self.arguments, self.tags = dict(arguments or {}), None if tags is None else list(tags)
        folder = fetch_folder(handle)
        self.handle = recorded_handle(handle, folder)
        self.sha256 = content_sha256(folder)
        if sha256 and sha256 != self.sha256:
            raise ChecksumError(f"{self.handle!r} now leads to another SavedModel than the one that the layer "
                                f"{self.name!r} was made with: its content has the sha256 {self.sha256}, expected "
                                f"{sha256}. Give the right one at that place.")
        # As an attribute it is tracked by TensorFlow, so that model.export() finds its tables.
        self.module = load_saved_model(folder, self.tags)
        # Not tracked: Keras would turn what is in it into something else.
        object.__setattr__(self, "_callable", HubCallable(self.module, method, signature, self.arguments))
        self.supports_jit = False  # strings and tables are nothing that XLA can compile
        self._adopt_variables()
        if trainable and not self._trainable_variables:
            raise ArgumentError(f"The SavedModel {self.handle!r} has no variables that training could change. Leave "
                                "`trainable` out, or take a version of the module for TensorFlow 2.")
        self.trainable = trainable
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns what the module returns, or its output `output_key`.

        Args:
            inputs: What the module takes.
            training: Whether it is being trained; a frozen module never is.
        """
        training = bool(training) and self.trainable
        outputs = self._choose(self._callable(inputs, training=training))
        if training:
            for loss in self._callable.losses():
                self.add_loss(loss())
        return outputs

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the outputs' shapes and dtypes, by tracing the module."""
        specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), inputs)
        traced = tf.function(lambda tensors: self._choose(self._callable(tensors)), autograph=False)
        outputs = traced.get_concrete_function(specs).structured_outputs
        return tf.nest.map_structure(_keras_tensor, outputs)

    @property
    def export_resources(self) -> tuple[Any, ...]:
        """Tables, files and variables that are no numbers, which an export has to track.

        Raises:
            WeightsError: The module keeps its variables where an export cannot reach them.
        """
        if self._callable.keeps_variables_inside:
            raise WeightsError(f"The module {self.handle!r} is in a format of TensorFlow 1 whose variables cannot be "
                               "exported. Take its version for TensorFlow 2.")
        return (*self._callable.resources(), *self._unnumbered)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "handle": self.handle, "output_key": self.output_key,
                "signature": self.signature, "method": self.method, "arguments": self.arguments, "tags": self.tags,
                "sha256": self.sha256}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HubLayer:
        """Returns the layer that `get_config` describes; what is wrong with its module is told as it is."""
        arguments = dict(config)  # Keras's own from_config turns every error into a TypeError of many lines
        if isinstance(arguments.get("dtype"), Mapping):
            arguments["dtype"] = keras.dtype_policies.deserialize(arguments["dtype"])
        return cls(**arguments)

    def _adopt_variables(self) -> None:
        """Makes the module's own variables the layer's weights, without a copy."""
        names: set[str] = set()
        self._unnumbered = []
        with keras.name_scope(self.name):
            for variable, trainable in self._callable.variables():
                if variable.dtype == tf.string:
                    self._unnumbered.append(variable)
                    continue
                adopted = keras.Variable(initializer=variable, dtype=variable.dtype.name, trainable=trainable,
                                         shape=tuple(variable.shape), autocast=False,
                                         name=_unique(variable.name, names))
                self._track_variable(adopted)

    def _choose(self, outputs: Any) -> Any:
        if self.output_key is None:
            return outputs
        if not isinstance(outputs, Mapping):
            raise ArgumentError(f"The SavedModel returns one tensor, so `output_key` has nothing to choose. "
                                f"Received: {self.output_key!r}")
        if self.output_key not in outputs:
            raise ArgumentError(f"The SavedModel has no output {self.output_key!r}. It has: "
                                f"{', '.join(sorted(outputs))}.")
        return outputs[self.output_key]


def _unique(name: str, taken: set[str]) -> str:
    """The variable's name as Keras allows it: without slashes, and no name twice."""
    plain = name.partition(":")[0].replace("/", "_") or "variable"
    unique, count = plain, 1
    while unique in taken:
        unique, count = f"{plain}_{count}", count + 1
    taken.add(unique)
    return unique


def _keras_tensor(tensor: Any) -> Any:
    if not hasattr(tensor, "shape") or tensor.shape.rank is None or isinstance(tensor, tf.RaggedTensor):
        raise ArgumentError(f"A Keras layer returns tensors with a known number of axes. The SavedModel returns: "
                            f"{tensor}. Choose another output or method.")
    return keras.KerasTensor(tuple(tensor.shape), dtype=tensor.dtype.name)
