"""Whether the weights of a graph's products never change: what TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1 takes for granted.

With that variable, oneDNN arranges the second operand of a convolution, and of a matrix product with a bias, at the
first run and keeps the result. Weights that are variables then cost no more than constants, and stand in memory once.
A graph that computes such an operand from the request would be answered with the weights of the first request, without
a word. So whoever sets the variable looks at the graph first. Imports no TensorFlow: it reads messages.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

VARIABLE: Final = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"

_INIT_SIGNATURE: Final = "__saved_model_init_op"
_BIASES: Final = frozenset({"BiasAdd", "Add", "AddV2"})
_PASSED_ON: Final = frozenset({"Identity", "IdentityN", "Cast"})
_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_LOOPS: Final = frozenset({"While", "StatelessWhile"})
_CHOICES: Final = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
_READS: Final = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd"})


def is_assumed() -> bool:
    """Whether this process tells oneDNN that weights never change."""
    return os.environ.get(VARIABLE, "").lower() in ("1", "true")


def changing_weights(meta_graph: Any) -> tuple[str, ...]:
    """The products of a graph whose weights may differ from one run to the next.

    Args:
        meta_graph: A MetaGraphDef.

    Returns:
        "operation name", sorted; empty where every weight is a constant or a variable that no signature writes. What
        cannot be told counts as changing.
    """
    return _Flow(meta_graph).found()


def assume_if_fixed(meta_graph: Any) -> tuple[str, ...]:
    """Tells oneDNN, where it is true and nothing else was said, that weights never change.

    Only for a process that does nothing but run this graph, and before TensorFlow's first product: it is read once.

    Args:
        meta_graph: The MetaGraphDef that this process is for.

    Returns:
        What speaks against it, see `changing_weights`.
    """
    changing = changing_weights(meta_graph)
    if not changing:
        os.environ.setdefault(VARIABLE, "1")
    return changing


def only_products_change(changing: Sequence[str]) -> bool:
    """Whether all of them are products of matrices, which a session without the remapper computes rightly."""
    return all(name.split(" ", 1)[0] == "MatMul" for name in changing)


class _Flow:
    """Follows what comes from a request through a graph and its functions."""

    def __init__(self, meta_graph: Any) -> None:
        self._functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
        self._nodes = _reached(meta_graph)
        self._changing_arguments: dict[str, set[int]] = defaultdict(set)
        self._found: set[str] = set()
        self._writes = any(_writes(node) for node in self._all_nodes())

    def found(self) -> tuple[str, ...]:
        size = -1
        while size != (size := sum(map(len, self._changing_arguments.values()))):
            # Every round can only add arguments of functions that change, so this ends.
            self._found.clear()
            self._results: dict[str, list[bool]] = {}
            self._walk(self._nodes, {})
        return tuple(sorted(self._found))

    def _all_nodes(self) -> Iterable[Any]:
        waiting, seen = [self._nodes], set()
        while waiting:
            for node in waiting.pop():
                yield node
                for name in _called(node, self._functions):
                    if name not in seen:
                        seen.add(name)
                        waiting.append(list(self._functions[name].node_def))

    def _walk(self, nodes: Sequence[Any], arguments: Mapping[str, bool]) -> dict[str, list[bool] | bool]:
        """Which nodes change: a truth for all outputs of a node, or one for each."""
        changing: dict[str, list[bool] | bool] = dict(arguments)
        consumers = _consumers(nodes)
        for node in _sorted(nodes):
            inputs = [_changes(changing, source) for source in node.input if not source.startswith("^")]
            changing[node.name] = self._outputs(node, inputs)
            if _is_product(node, consumers) and len(inputs) > 1 and inputs[1]:
                self._found.add(f"{node.op} {node.name}")
        return changing

    def _outputs(self, node: Any, inputs: Sequence[bool]) -> list[bool] | bool:
        if node.op.startswith(("Placeholder", "Iterator", "Random", "Truncated", "StatefulStandard")):
            return True
        called = _called(node, self._functions)
        if not called:
            return any(inputs) or (self._writes and node.op in _READS)
        if node.op in _LOOPS:
            return self._loop(node, inputs)
        if node.op in _CHOICES:
            results = [self._call(name, inputs[1:]) for name in called]
            return [inputs[0] or any(column) for column in zip(*results, strict=True)]
        if node.op in _CALLS or called == [node.op]:
            return self._call(called[0], inputs)
        for name in called:  # a map over a dataset and the like
            self._call(name, [True] * len(self._functions[name].signature.input_arg))
        return True

    def _loop(self, node: Any, inputs: Sequence[bool]) -> list[bool]:
        body = self._functions[node.attr["body"].func.name]
        changing = [given or not kept for given, kept in zip(inputs, _kept(body), strict=True)]
        for name in (node.attr["cond"].func.name, body.signature.name):
            self._call(name, changing)
        return changing

    def _call(self, name: str, inputs: Sequence[bool]) -> list[bool]:
        known = self._changing_arguments[name]
        new = {place for place, changes in enumerate(inputs) if changes} - known
        if name not in self._results or new:
            known |= new
            function = self._functions[name]
            self._results[name] = [False] * len(function.signature.output_arg)  # of one that calls itself
            arguments = {argument.name: place in known for place, argument in enumerate(function.signature.input_arg)}
            changing = self._walk(list(function.node_def), arguments)
            self._results[name] = [_changes(changing, function.ret[argument.name])
                                   for argument in function.signature.output_arg]
        return self._results[name]


def _reached(meta_graph: Any) -> list[Any]:
    """The nodes that the signatures run; without those that restore the variables."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    waiting = [tensor.name for name, signature in meta_graph.signature_def.items() if name != _INIT_SIGNATURE
               for tensor in signature.outputs.values()]
    reached: dict[str, Any] = {}
    while waiting:
        name = _node_of(waiting.pop())
        if name in nodes and name not in reached:
            reached[name] = nodes[name]
            waiting += nodes[name].input
    return list(reached.values())


def _sorted(nodes: Sequence[Any]) -> list[Any]:
    """Nodes after those that they read; of a circle, as loops of TensorFlow 1 have, in the order given."""
    by_name = {node.name: node for node in nodes}
    ordered: dict[str, Any] = {}
    for node in nodes:
        path = [(node, iter(node.input))]
        entered = {node.name}
        while path:
            current, sources = path[-1]
            name = next((name for name in map(_node_of, sources)
                         if name in by_name and name not in ordered and name not in entered), None)
            if name is None:
                ordered.setdefault(current.name, current)
                path.pop()
            else:
                entered.add(name)
                path.append((by_name[name], iter(by_name[name].input)))
    return list(ordered.values())


def _consumers(nodes: Sequence[Any]) -> dict[str, list[Any]]:
    consumers: dict[str, list[Any]] = defaultdict(list)
    for node in nodes:
        for source in node.input:
            consumers[_node_of(source)].append(node)
    return consumers


def _is_product(node: Any, consumers: Mapping[str, Sequence[Any]]) -> bool:
    """Whether oneDNN keeps what it makes of the second operand."""
    if "Conv" in node.op and "Backprop" not in node.op.removesuffix("BackpropInput"):
        return True
    if "MatMul" not in node.op or node.op.startswith(("Batch", "Sparse")):
        return False
    return node.op != "MatMul" or _meets_bias(node, consumers)


def _meets_bias(node: Any, consumers: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a bias may be added to a product, here or, where it is a function's result, by who calls it."""
    following = consumers.get(node.name, ())
    return not following or any(consumer.op in _BIASES or (consumer.op in _PASSED_ON
                                                           and _meets_bias(consumer, consumers))
                                for consumer in following)


def _kept(body: Any) -> list[bool]:
    """Which variables of a loop its body hands on as they came."""
    sources = {node.name: node for node in body.node_def}
    kept = []
    for argument, result in zip(body.signature.input_arg, body.signature.output_arg, strict=True):
        name = _node_of(body.ret[result.name])
        while name in sources and sources[name].op == "Identity":
            name = _node_of(sources[name].input[0])
        kept.append(name == argument.name)
    return kept


def _called(node: Any, functions: Mapping[str, Any]) -> list[str]:
    names = [node.op] + [value.func.name for value in node.attr.values() if value.HasField("func")]
    names += [function.name for value in node.attr.values() for function in value.list.func]
    return [name for name in names if name in functions]


def _writes(node: Any) -> bool:
    return "Assign" in node.op or node.op.startswith(("ResourceApply", "ResourceScatter", "ResourceSparseApply"))


def _changes(changing: Mapping[str, list[bool] | bool], tensor: str) -> bool:
    """Whether one tensor changes: "node", "node:1", or "node:output:1" in a function. An unknown one does."""
    name, *place = tensor.split(":")
    known = changing.get(name, True)
    if isinstance(known, bool):
        return known
    index = int(place[-1]) if place else 0
    # An output of many parts is not told apart by its place alone; the calls that have several have one output list.
    return known[index] if index < len(known) else any(known)


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]
