"""One function of a loaded SavedModel: what it takes, which variables and tables it needs, and calling it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from zoo.errors import ArgumentError

_RESOURCES = (tf.saved_model.experimental.TrackableResource, tf.saved_model.Asset)
_OLD_VARIABLES = ("Variable", "VariableV2")
CALL = "__call__"
# How TensorFlow says that a loaded function does not take some inputs; its messages are many lines long.
_MISMATCH = ("matching concrete function", "Binding inputs to tf.function failed")


class HubCallable:
    """A function of a SavedModel: the module's own call, a method of it, or a signature.

    Args:
        module: What `tf.saved_model.load` returned; this object keeps it alive.
        method: Attribute of the module, with dots for parts of parts, such as "mlm" or "tokenize".
        signature: Name of a signature, in place of a method.
        arguments: Further keyword arguments of every call; numbers become tensors where the function wants them.

    Raises:
        ArgumentError: The module has no such function, or is not callable.
    """

    def __init__(self, module: Any, method: str = CALL, signature: str | None = None,
                 arguments: Mapping[str, Any] | None = None) -> None:
        if signature is not None and (method != CALL or arguments):
            raise ArgumentError("A signature takes tensors only: give `signature`, or `method` and `arguments`.")
        self.module = module
        self.arguments = dict(arguments or {})
        self.by_signature = signature is not None
        self.owner, self.function = (module, _signature(module, signature)) if signature is not None else \
            _method(module, method)
        self.concrete = [self.function] if self.by_signature else _concrete_functions(self.function)

    @property
    def wants_training(self) -> bool:
        """Whether the function has an argument `training`."""
        if self.by_signature:
            return False
        specification = getattr(self.function, "function_spec", None)
        return specification is not None and "training" in specification.fullargspec.args + \
            specification.fullargspec.kwonlyargs

    @property
    def expected(self) -> Any:
        """What the function takes first: a tf.TensorSpec, or a dict or list of them; None where it is not known."""
        if self.by_signature:
            keyword = self.function.structured_input_signature[1]
            return next(iter(keyword.values())) if len(keyword) == 1 else dict(keyword)
        quiet = [concrete for concrete in self.concrete if not _is_for_training(concrete)]
        for concrete in quiet or self.concrete:
            arguments, keywords = concrete.structured_input_signature
            if arguments:
                return arguments[0]
            if keywords:
                return next(iter(keywords.values()))
        return None

    @property
    def keeps_variables_inside(self) -> bool:
        """Whether it has variables of TensorFlow 1's first kind: parts of the graph, which nobody else can reach."""
        return any(operation.type in _OLD_VARIABLES for concrete in self.concrete
                   for operation in concrete.graph.get_operations())

    def variables(self) -> list[tuple[Any, bool]]:
        """Returns each tf.Variable that the function or its module names, and whether training may change it."""
        listed = list(_attribute(self.owner, "variables", ()))
        found = {id(variable): variable for variable in listed}
        for concrete in self.concrete:
            found.update((id(variable), variable) for variable in concrete.variables)
        for loss in self.losses():
            for concrete in _concrete_functions(loss):
                found.update((id(variable), variable) for variable in concrete.variables)
        named = _attribute(self.owner, "trainable_variables", None)
        trainable = None if named is None else {id(variable) for variable in named}
        return [(variable, variable.trainable if trainable is None else key in trainable)
                for key, variable in found.items()]

    def losses(self) -> list[Any]:
        """Returns the module's regularization losses: functions without arguments."""
        return list(_attribute(self.owner, "regularization_losses", ()))

    def resources(self) -> list[Any]:
        """Returns the tables and files of the module, each once, in the order of its attributes."""
        return [part for part in _parts(self.module) if isinstance(part, _RESOURCES)]

    def __call__(self, inputs: Any, *, training: bool = False) -> Any:
        """Calls the function.

        Args:
            inputs: A tensor, or a dict or list of tensors; numbers are cast to the dtypes that the function takes.
            training: Passed on where the function has such an argument.

        Returns:
            What it returns; for a signature a dict, or its only output.

        Raises:
            ArgumentError: The inputs fit none of the function's forms.
        """
        if self.by_signature:
            outputs = self.function(**self._keywords(inputs))
            return next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
        keywords = {name: _as_argument(value) for name, value in self.arguments.items()}
        if self.wants_training:
            keywords["training"] = bool(training)
        try:
            return self.function(_cast(inputs, self.expected), **keywords)
        except (ValueError, TypeError) as error:
            if not any(words in str(error) for words in _MISMATCH):
                raise
            raise ArgumentError(f"The SavedModel does not take these inputs. Expected {_describe(self.expected)}. "
                                f"Received {_describe(inputs)}.") from error

    def _keywords(self, inputs: Any) -> dict[str, Any]:
        expected = self.function.structured_input_signature[1]
        given = dict(inputs) if isinstance(inputs, Mapping) else {next(iter(expected)): inputs}
        if set(given) != set(expected):
            raise ArgumentError(f"The signature takes {', '.join(sorted(expected))}. Received: "
                                f"{', '.join(sorted(given)) if isinstance(inputs, Mapping) else 'one tensor'}.")
        return {name: _cast(tensor, expected[name]) for name, tensor in given.items()}


def _signature(module: Any, name: str) -> Any:
    signatures = _attribute(module, "signatures", {})
    if name not in signatures:
        raise ArgumentError(f"The SavedModel has no signature {name!r}. It has: {', '.join(signatures) or 'none'}.")
    return signatures[name]


def _method(module: Any, path: str) -> tuple[Any, Any]:
    """Returns the object that a method belongs to, and the method."""
    owner = module
    *above, last = path.split(".")
    for name in above:
        owner = _attribute(owner, name, None)
    function = _attribute(owner, last, None)
    if hasattr(function, CALL) and not hasattr(function, "concrete_functions"):  # a part that is callable itself
        owner, function = function, getattr(function, CALL)
    if not hasattr(function, "concrete_functions"):
        signatures = ", ".join(_attribute(module, "signatures", {})) or "none"
        wanted = "is not callable" if path == CALL else f"has no method {path!r}"
        raise ArgumentError(f"The SavedModel {wanted}. Choose one of its signatures with signature=...: {signatures}.")
    return owner, function


def _concrete_functions(function: Any) -> list[Any]:
    return list(getattr(function, "concrete_functions", ()) or ())


def _attribute(owner: Any, name: str, default: Any) -> Any:
    return getattr(owner, name, default) if owner is not None else default


def _is_for_training(concrete: Any) -> bool:
    arguments, keywords = concrete.structured_input_signature
    return True in [value for value in [*arguments[1:], *keywords.values()] if isinstance(value, bool)]


def _parts(module: Any) -> Iterator[Any]:
    pending, seen = [module], set[int]()
    while pending:
        part = pending.pop(0)
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        children = getattr(part, "_trackable_children", None)  # TensorFlow has no public way through a loaded module
        pending += list(children().values()) if callable(children) else []


def _as_argument(value: Any) -> Any:
    # Loaded functions take Python's True and False as part of the form, numbers mostly as tensors.
    return tf.constant(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _cast(inputs: Any, expected: Any) -> Any:
    if isinstance(inputs, Mapping):
        known = expected if isinstance(expected, Mapping) else {}
        return {name: _cast(value, known.get(name)) for name, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        listed = isinstance(expected, list | tuple) and len(expected) == len(inputs)
        specs = expected if listed else [None] * len(inputs)
        return [_cast(value, spec) for value, spec in zip(inputs, specs, strict=True)]
    dtype = getattr(expected, "dtype", None)
    if dtype is None or dtype == tf.string or getattr(inputs, "dtype", None) in (tf.string, "string", dtype):
        return inputs
    return tf.cast(inputs, dtype)


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_describe(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_describe(item) for item in value)}]"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return f"{getattr(dtype, 'name', dtype)} {shape}" if dtype is not None else repr(value)
