"""Which models exist: register, look up, list, search, and the door to `zoo.build`. Imports no TensorFlow.

Names follow `model[.tag]`, where the tag names published weights ("resnet50.imagenet"). Anything from outside comes
through `weights=` with an explicit scheme, so that a mistyped name can never load other parameters in silence.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import importlib.metadata
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from zoo.catalog import all_specs
from zoo.errors import ArgumentError, DuplicateNameError, UnknownNameError
from zoo.name_search import natural_key, relevance
from zoo.spec import INPUT_KINDS, TASKS, ModelSpec

if TYPE_CHECKING:
    import keras

Builder = Callable[..., Any]

ENTRY_POINT_GROUP = "zoo.models"
SORT_KEYS = ("name", "parameters", "top1")
_ALIASES = {"classes": "num_classes"}  # spellings that users bring from Keras and timm, and ours
_BUILD_MODEL = "zoo.building:build_model"  # a string, so that this file, which lists models, loads no TensorFlow


class PluginWarning(UserWarning):
    """A package that offers models through an entry point could not be used."""


class Registry:
    """A set of model specs by name.

    Args:
        specs: The models that it starts with.
        plugins: Whether the entry points of installed packages are read at the first look-up.
    """

    def __init__(self, specs: Iterable[ModelSpec] = (), *, plugins: bool = False) -> None:
        self._specs: dict[str, ModelSpec] = {}
        self._builders: dict[str, Builder] = {}
        self._plugins_pending = plugins
        for spec in specs:
            self.register(spec)

    # === Registration ===

    def register(self, spec: ModelSpec, builder: Builder | None = None, *, override: bool = False) -> None:
        """Adds a model.

        Args:
            spec: The model's description; its `name` must be new.
            builder: The building function itself, for functions that no import path reaches (notebooks).
            override: Whether a model of the same name may be replaced.

        Raises:
            DuplicateNameError: The name is taken and `override` is false.
        """
        if not isinstance(spec, ModelSpec):
            raise ArgumentError(f"`register` takes a zoo.ModelSpec. Received: {spec!r}")
        if spec.name in self._specs and not override:
            raise DuplicateNameError(f"A model named {spec.name!r} is already registered. Choose another name, or "
                                     "replace it on purpose with override=True.")
        self._specs[spec.name] = spec
        self._builders.pop(spec.name, None)
        if builder is not None:
            self._builders[spec.name] = builder

    def _known(self) -> dict[str, ModelSpec]:
        if self._plugins_pending:
            self._plugins_pending = False
            for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
                self._register_plugin(entry_point)
        return self._specs

    def _register_plugin(self, entry_point: importlib.metadata.EntryPoint) -> None:
        origin = f"entry point {entry_point.name!r} of {entry_point.dist.name if entry_point.dist else 'a package'}"
        try:
            offered = entry_point.load()
            for spec in (offered,) if isinstance(offered, ModelSpec) else tuple(offered):
                self.register(spec)
        except Exception as error:  # any failure of a foreign package must leave our own models usable
            warnings.warn(f"Models of the {origin} are left out: {error}", PluginWarning, stacklevel=4)

    # === Look-up ===

    def names(self) -> tuple[str, ...]:
        """Returns all names in natural order (`b2` before `b10`)."""
        return tuple(sorted(self._known(), key=natural_key))

    def spec(self, name: str) -> ModelSpec:
        """Returns the description of one model; `name` may carry a weights tag.

        Raises:
            UnknownNameError: No such model or tag; the message suggests near names.
        """
        return self.resolve(name)[0]

    def resolve(self, name: str) -> tuple[ModelSpec, str | None]:
        """Splits `model[.tag]` into the model's spec and its tag.

        Returns:
            The spec, and the tag or None.

        Raises:
            ArgumentError: The name looks like a path or an address.
            UnknownNameError: No such model or tag.
        """
        if not isinstance(name, str) or not name:
            raise ArgumentError(f"A model's name must be a non-empty string. Received: {name!r}")
        if "/" in name or "\\" in name or ":" in name:
            raise ArgumentError(
                f"{name!r} is not the name of a model but looks like a path or an address. Give the model's name first "
                f"and this as its weights: zoo.build('resnet50', weights='file:PATH' or 'hf://ORG/REPOSITORY'). "
                f"A folder that zoo.save wrote is opened with zoo.load(PATH).")
        known = self._known()
        if name in known:
            return known[name], None
        base, dot, tag = name.partition(".")
        if dot and base in known:
            tags = [ref.tag for ref in known[base].weights]
            if tag not in tags:
                raise UnknownNameError(f"weights tag of {base}", tag, tags,
                                       f"It has: {', '.join(tags)}." if tags else "It has no published weights.")
            return known[base], tag
        raise UnknownNameError("model", name, known, "`zoo list` shows all names.")

    def select(self, pattern: str = "*", *, exclude: Iterable[str] | str = (), family: str | None = None,
               input_kind: str | None = None, task: str | None = None, tags: Iterable[str] | str = (),
               weights: bool | str | None = None, source: str | None = None, max_params: int | None = None,
               min_top1: float | None = None, sort: Literal["name", "parameters", "top1"] = "name") -> list[str]:
        """Returns the names that pass every filter that is given.

        Args:
            pattern: Shell-style pattern (`*resnet*`) over the name, upper and lower case alike.
            exclude: Patterns of names to leave out.
            family: Architecture family, such as "resnet".
            input_kind: "image", "text", "tabular" or "sequence".
            task: What the model can be built for; one of `zoo.spec.TASKS`.
            tags: Tags that must all be there.
            weights: True for models with published weights, False for those without, or a tag.
            source: Part of the name of the weights' publisher.
            max_params: Largest number of parameters.
            min_top1: Smallest published ImageNet top-1 accuracy in [0, 1].
            sort: "name" (natural order), "parameters" (few first) or "top1" (best first).

        Returns:
            Names; empty where nothing fits.

        Raises:
            UnknownNameError: A filter has a value that no model could have.
        """
        _check_choice("input kind", input_kind, INPUT_KINDS)
        _check_choice("task", task, TASKS)
        _check_choice("sort key", sort, SORT_KEYS)
        specs = tuple(self._known().values())
        _check_choice("family", family, {spec.family for spec in specs})
        wanted = {tags} if isinstance(tags, str) else set(tags)
        unwanted = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        tests: tuple[Callable[[ModelSpec], bool], ...] = (
            lambda s: _matches(s.name, pattern),
            lambda s: not any(_matches(s.name, p) for p in unwanted),
            lambda s: family is None or s.family == family,
            lambda s: input_kind is None or s.input_kind == input_kind,
            lambda s: task is None or task in (s.task, *s.tasks),
            lambda s: wanted <= set(s.tags),
            lambda s: _has_weights(s, weights),
            lambda s: source is None or any(source.lower() in ref.source.lower() for ref in s.weights),
            lambda s: max_params is None or s.parameters <= max_params,
            lambda s: min_top1 is None or (s.top1 is not None and s.top1 >= min_top1),
        )
        chosen = [spec for spec in specs if all(test(spec) for test in tests)]
        return [spec.name for spec in sorted(chosen, key=_sort_key(sort))]

    def search(self, query: str, *, limit: int = 10) -> list[str]:
        """Returns the models that fit a description in words best, best first.

        Args:
            query: Words such as "small mobile image network"; spelling may be a little off.
            limit: Largest number of names.

        Returns:
            Names; empty where no word fits anything.
        """
        words = re.findall(r"[a-z0-9]+", query.lower())
        scored = [(relevance(words, spec), spec) for spec in self._known().values()]
        best = sorted((item for item in scored if item[0] > 0),
                      key=lambda item: (-item[0], item[1].parameters, natural_key(item[1].name)))
        return [spec.name for _, spec in best[:limit]]

    # === Building ===

    def build(self, name: str, **arguments: Any) -> keras.Model:
        """Builds a model by name; see `zoo.build`."""
        spec, builder, chosen = self._prepared(name, arguments)
        return _load(_BUILD_MODEL)(spec, builder, **chosen)

    def check(self, name: str, **arguments: Any) -> None:
        """Raises what `build` would for arguments that the model does not take, without building it."""
        self._prepared(name, arguments)

    def _prepared(self, name: str, arguments: Mapping[str, Any]) -> tuple[ModelSpec, Builder, dict[str, Any]]:
        spec, tag = self.resolve(name)
        chosen = _translate_aliases(arguments)
        if tag is not None:
            if chosen.get("weights") not in (None, tag):
                raise ArgumentError(f"{name!r} names the weights {tag!r}, and weights={chosen['weights']!r} names "
                                    "others. Give one of them.")
            chosen["weights"] = tag
        builder = self._builders.get(spec.name) or _load(spec.builder)
        _check_arguments(spec.name, builder, _load(_BUILD_MODEL), chosen)
        return spec, builder, chosen


@functools.cache
def default_registry() -> Registry:
    """The process-wide registry: our catalog and the models of installed packages."""
    return Registry(all_specs(), plugins=True)


# === The public functions, over the default registry ===


def build(name: str, *, weights: str | None = None, task: str | None = None, num_classes: int | None = None,
          include_top: bool | None = None, input_shape: tuple[int | None, ...] | None = None,
          pooling: str | None = None, classifier_activation: str | None = None, dtype: str | None = None,
          seed: int | None = None, labels: Iterable[str] = (), preprocessing: Any = None,
          **options: Any) -> keras.Model:
    """Builds a model by name: a plain, uncompiled functional `keras.Model` that carries its `ModelRecord`.

    Args:
        name: A registered name, with a weights tag behind a dot if wanted: "resnet50", "resnet50.imagenet".
        weights: None for random parameters, "default" or a tag for published ones, the path of a weights file or of a
            checkpoint's folder, or an address with its scheme ("file:", "https:", "gs:", "hf:", "kaggle:", "tfhub:").
        task: What the model is built for where it has several heads, such as "classification", "regression",
            "token_classification", "embedding", "masked_language_model" or "language_model"; None takes that of the
            checkpoint's head, or the model's own (`zoo.info(name).tasks` lists them). "features" is the model without
            a head.
        num_classes: Size of the class axis. Where it differs from that of the weights, the head keeps its random
            start and a warning names its variables. `classes` is accepted too.
        include_top: Whether the classification head is built; without it the model returns features.
        input_shape: Shape of one input without the batch axis, such as (height, width, channels).
        pooling: Pictures, without a head: None, "avg" or "max" over the spatial axes. Texts: what stands for a text.
        classifier_activation: Activation of the head, "softmax" by default; None keeps the default.
        dtype: Keras dtype policy, such as "float32" or "mixed_bfloat16".
        seed: Seed of the random parameters; the same seed gives the same ones.
        labels: Class names in the order of the class axis.
        preprocessing: A preprocessing from `zoo.spec` in place of the one that belongs to the weights.
        **options: The builder's own options (`zoo.info(name)` lists their defaults); `pretrained=True` is
            accepted for weights="default".

    Returns:
        The model. Its layer and input names are the same in every build.

    Raises:
        UnknownNameError: No such model or weights tag.
        ArgumentError: An argument that the model does not take, or of a wrong value.
        WeightsError: Parameters that cannot be found, verified or fitted.
    """
    given = {"weights": weights, "task": task, "num_classes": num_classes, "include_top": include_top,
             "input_shape": input_shape, "pooling": pooling, "classifier_activation": classifier_activation,
             "dtype": dtype, "seed": seed, "labels": tuple(labels) or None, "preprocessing": preprocessing, **options}
    return default_registry().build(name, **{key: value for key, value in given.items() if value is not None})


def list_models(pattern: str = "*", **filters: Any) -> list[str]:
    """Returns the names of the models that pass every filter; see `Registry.select` for the filters.

    Args:
        pattern: Shell-style pattern over the name, such as "*resnet*".
        **filters: `exclude`, `family`, `input_kind`, `task`, `tags`, `weights`, `source`, `max_params`, `min_top1`,
            `sort`.

    Returns:
        Names in natural order unless `sort` says otherwise.
    """
    return default_registry().select(pattern, **filters)


def info(name: str) -> ModelSpec:
    """Returns what is known about a model.

    Args:
        name: A registered name.

    Returns:
        The frozen spec; `to_dict()` makes it JSON-ready.

    Raises:
        UnknownNameError: No such model; the message suggests near names.
    """
    return default_registry().spec(name)


def search(query: str, *, limit: int = 10) -> list[str]:
    """Returns the models that fit a description in words best, best first.

    Args:
        query: Words such as "small mobile image network".
        limit: Largest number of names.

    Returns:
        Names; empty where no word fits anything.
    """
    return default_registry().search(query, limit=limit)


def register(spec: ModelSpec, builder: Builder | None = None, *, override: bool = False) -> None:
    """Adds a model to this process; a package adds its own through the entry-point group "zoo.models".

    Args:
        spec: The model's description.
        builder: The building function itself where `spec.builder` cannot be imported (notebooks).
        override: Whether a model of the same name may be replaced.

    Raises:
        DuplicateNameError: The name is taken and `override` is false.
    """
    default_registry().register(spec, builder, override=override)


def _sort_key(sort: str) -> Callable[[ModelSpec], Any]:
    if sort == "parameters":
        return lambda spec: (spec.parameters, natural_key(spec.name))
    if sort == "top1":
        return lambda spec: (-(spec.top1 or 0.0), natural_key(spec.name))
    return lambda spec: natural_key(spec.name)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def _has_weights(spec: ModelSpec, wanted: bool | str | None) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return any(ref.tag == wanted for ref in spec.weights)
    return bool(spec.weights) == wanted


def _check_choice(kind: str, value: str | None, choices: Iterable[str]) -> None:
    known = sorted(choices)
    if value is not None and value not in known:
        raise UnknownNameError(kind, value, known, f"Expected one of: {', '.join(known)}.")


def _load(path: str) -> Builder:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


def _translate_aliases(arguments: Mapping[str, Any]) -> dict[str, Any]:
    chosen = dict(arguments)
    for alias, name in _ALIASES.items():
        if alias in chosen:
            if name in chosen and chosen[name] != chosen[alias]:
                raise ArgumentError(f"`{alias}` is another name of `{name}`, and they differ: {chosen[alias]!r} and "
                                    f"{chosen[name]!r}. Give one of them.")
            chosen[name] = chosen.pop(alias)
    pretrained = chosen.pop("pretrained", None)
    if pretrained not in (None, True, False):
        raise ArgumentError(f"`pretrained` must be True or False. Received: {pretrained!r}")
    if pretrained and chosen.get("weights") is None:
        chosen["weights"] = "default"
    return chosen


def _check_arguments(model: str, builder: Builder, build_model: Builder, arguments: Mapping[str, Any]) -> None:
    own = set(inspect.signature(builder).parameters)
    general = {name for name, parameter in inspect.signature(build_model).parameters.items()
               if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    known = sorted(own | general)
    for name in arguments:
        if name not in known:
            raise ArgumentError(str(UnknownNameError(f"argument of {model}", name, [*known, *_ALIASES, "pretrained"],
                                                     f"It takes: {', '.join(known)}.")))
