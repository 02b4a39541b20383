"""The public names of each package: complete, sorted, documented, and light to import."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import pytest

import zoo

PUBLIC_PACKAGES = ("zoo", "serving", "tuning", "serving.client")
HEAVY = {"tensorflow", "keras", "matplotlib", "sklearn", "scipy", "keras_hub", "keras_tuner"}


@pytest.mark.parametrize("name", PUBLIC_PACKAGES)
def test_all_names_exist_and_are_sorted(name: str) -> None:
    """Every name in `__all__` can be reached, and the list is in order."""
    package = importlib.import_module(name)
    assert list(package.__all__) == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public) is not None


def test_the_errors_of_the_tree_are_exported() -> None:
    """Each class of zoo.errors is reachable as zoo.<name>, and all descend from ZooError."""
    errors = importlib.import_module("zoo.errors")
    for name, value in vars(errors).items():
        if inspect.isclass(value) and value.__module__ == "zoo.errors":
            assert getattr(zoo, name) is value
            assert issubclass(value, zoo.ZooError)
            assert name in (errors.__doc__ or ""), f"draw {name} in the tree of the module's docstring"


@pytest.mark.parametrize("name", PUBLIC_PACKAGES)
def test_public_functions_are_documented(name: str) -> None:
    """Every public function says in one sentence what it does, and names its arguments and its result."""
    package = importlib.import_module(name)
    for public in package.__all__:
        value = getattr(package, public)
        document = inspect.getdoc(value)
        assert document, f"{name}.{public} has no docstring"
        if inspect.isfunction(value):
            assert document.split("\n\n")[0].rstrip().endswith("."), f"{name}.{public}: end the sentence"
            if inspect.signature(value).parameters:
                assert "Args:" in document, f"{name}.{public} does not say what it takes"
            if inspect.signature(value).return_annotation not in ("None", None):
                assert "Returns:" in document, f"{name}.{public} does not say what it returns"


@pytest.mark.parametrize("name", [*PUBLIC_PACKAGES, "zoo.cli", "serving.cli", "serving.protocol", "tuning.cli"])
def test_importing_loads_nothing_heavy(name: str) -> None:
    """A listing, a client and `--help` wait for neither TensorFlow nor a plotting library."""
    code = f"import json, sys, {name}; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not HEAVY & set(json.loads(answer.stdout))


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    """The lazy names do not swallow misspelled ones."""
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        zoo.biuld  # noqa: B018
