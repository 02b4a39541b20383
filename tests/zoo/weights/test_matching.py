from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zoo.errors import WeightsError
from zoo.weights.head import HeadRule
from zoo.weights.matching import Match, Tensor, match

KERNEL = SimpleNamespace(path="stem/kernel", shape=(3, 4), dtype="float32")
HEAD = SimpleNamespace(path="predictions/kernel", shape=(4, 10), dtype="float32")
BIAS = SimpleNamespace(path="predictions/bias", shape=(10,), dtype="float32")
STATE = SimpleNamespace(path="seed_generator/seed_generator_state", shape=(2,), dtype="int64")
MODEL = {"0/0": KERNEL, "1/0": HEAD, "1/1": BIAS}
RULE = HeadRule(head_ids=frozenset({id(HEAD), id(BIAS)}))


def run(variables: dict[str, Any], tensors: dict[str, tuple[int, ...]], rule: HeadRule = RULE,
        dtype: str = "float32") -> Match:
    return match(variables, {key: Tensor(f"file/{key}", shape, dtype) for key, shape in tensors.items()}, rule, "f")


def test_everything_that_fits_is_assigned() -> None:
    """With equal keys and shapes nothing is left over."""
    found = run(MODEL, {"0/0": (3, 4), "1/0": (4, 10), "1/1": (10,)})
    assert found.keys == ("0/0", "1/0", "1/1")
    assert not found.report.reinitialised


@pytest.mark.parametrize("head", [{"1/0": (4, 1000), "1/1": (1000,)}, {}])
def test_another_class_count_leaves_the_whole_head(head: dict[str, tuple[int, ...]]) -> None:
    """A head with another last axis, or none in the file, keeps its random start as a whole and is listed."""
    found = run(MODEL, {"0/0": (3, 4), **head})
    assert found.keys == ("0/0",)
    assert found.report.reinitialised == {"predictions/kernel": (4, 10), "predictions/bias": (10,)}


@pytest.mark.parametrize("head", [{"1/0": (5, 1000), "1/1": (1000,)}, {"1/0": (4, 1000)}, {"1/0": (4, 10)},
                                  {"1/0": (10, 4), "1/1": (10,)}, {"1/0": (4,), "1/1": (10,)}])
def test_a_head_of_another_kind_is_an_error(head: dict[str, tuple[int, ...]]) -> None:
    """Only the number of classes may differ; a head for other features or without a bias is another model's."""
    with pytest.raises(WeightsError, match="do not fit the model"):
        run(MODEL, {"0/0": (3, 4), **head})


def test_without_a_rule_the_head_must_fit_too() -> None:
    """The strict rule of saved models explains nothing away."""
    with pytest.raises(WeightsError, match=r"predictions/kernel expected \[4, 10\] float32, found \[4, 9\]"):
        run(MODEL, {"0/0": (3, 4), "1/0": (4, 9), "1/1": (9,)}, HeadRule())


def test_all_differences_are_listed() -> None:
    """One message has the wrong shapes, the missing and the unused, by name, and the way out."""
    with pytest.raises(WeightsError) as caught:
        run(MODEL, {"0/0": (3, 5), "1/0": (4, 10), "9/0": (7,)}, HeadRule())
    message = str(caught.value)
    for part in ("1 of another shape or type: stem/kernel expected [3, 4]", "1 missing in the file: predictions/bias",
                 "1 in the file that the model has no place for: file/9/0 [7]", "`input_shape`"):
        assert part in message


def test_layers_behind_a_headless_model_are_unused() -> None:
    """A model that ends in features leaves whole layers of the file alone, but no part of a layer."""
    rule = HeadRule(headless=True)
    found = run({"0/0": KERNEL}, {"0/0": (3, 4), "1/0": (4, 1000), "1/1": (1000,)}, rule)
    assert found.report.unused == {"file/1/0": (4, 1000), "file/1/1": (1000,)}
    with pytest.raises(WeightsError, match="no place for: file/0/1"):
        run({"0/0": KERNEL}, {"0/0": (3, 4), "0/1": (4,)}, rule)


def test_states_of_random_generators_may_be_absent() -> None:
    """A dropout layer's state is no parameter: it may be missing on either side."""
    assert run({"0/0": KERNEL, "s": STATE}, {"0/0": (3, 4)}).report.missing == {STATE.path: (2,)}
    unused = match({"0/0": KERNEL}, {"0/0": Tensor("a", (3, 4)), "s": Tensor("seed_generator/s", (2,))}, RULE, "f")
    assert unused.report.unused == {"seed_generator/s": (2,)}


@pytest.mark.parametrize(("dtype", "fits"), [("bfloat16", True), ("float64", True), ("", True), ("int32", False),
                                             ("bool", False)])
def test_floats_are_converted_and_other_types_are_not(dtype: str, fits: bool) -> None:
    """Any float becomes any other; whole numbers never become parameters in silence."""
    if fits:
        assert run({"0/0": KERNEL}, {"0/0": (3, 4)}, dtype=dtype).keys
    else:
        with pytest.raises(WeightsError, match=f"found \\[3, 4\\] {dtype}"):
            run({"0/0": KERNEL}, {"0/0": (3, 4)}, dtype=dtype)


def test_a_file_with_nothing_for_the_model_is_an_error() -> None:
    """Even where every difference could be explained, loading nothing is not loading."""
    with pytest.raises(WeightsError, match="do not fit"):
        run({"1/0": HEAD, "1/1": BIAS}, {})


def test_a_model_without_variables_takes_an_empty_file() -> None:
    """Nothing to load is not a failure where there is nothing to load into."""
    assert run({}, {}).keys == ()
