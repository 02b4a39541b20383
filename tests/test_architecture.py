"""The house rules that a program can check: who imports whom, how long files are, which names are taken.

The table below is the one in CONTRIBUTING.md. Each failure names file, line, rule and remedy.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("zoo", "serving", "tuning")
GENERATED = "serving/protocol/generated/"

# What each part may import of our own packages. A part is the longest prefix listed here. A part may always import
# itself. Upper layers first; no part may import one that stands above it, and siblings do not import each other.
GROUND = {"zoo.errors", "zoo.spec", "zoo.preprocessing_spec"}
MATERIALS = {"zoo.registry", "zoo.catalog", "zoo.weights", "zoo.layers", "zoo.preprocessing"}
SEARCH_GROUND = {"tuning.errors", "tuning.trial", "tuning.objectives", "tuning.config", "tuning.folder", "zoo.errors",
                 "zoo.data_source"}
ALLOWED: dict[str, set[str]] = {
    "zoo.errors": set(),
    "zoo.preprocessing_spec": {"zoo.errors"},
    "zoo.spec": {"zoo.errors", "zoo.preprocessing_spec"},
    "zoo.preprocessing": GROUND,
    "zoo.layers": GROUND,
    "zoo.layers.hub_layer": GROUND | {"zoo.layers", "zoo.weights"},
    "zoo.catalog": GROUND | {"zoo.preprocessing"},
    "zoo.weights": GROUND,
    "zoo.name_search": GROUND,
    "zoo.registry": GROUND | {"zoo.catalog", "zoo.name_search"},
    "zoo.vision": GROUND | {"zoo.layers"},
    "zoo.text": GROUND | {"zoo.layers"},
    "zoo.tabular": GROUND | {"zoo.layers"},
    "zoo.hub": GROUND | {"zoo.layers", "zoo.layers.hub_layer"},
    "zoo.bundle_index": {"zoo.errors"},
    "zoo.bundle_architecture": {"zoo.errors"},
    "zoo.build_arguments": GROUND,
    "zoo.build_checkpoint": GROUND | MATERIALS | {"zoo.build_arguments"},
    "zoo.build_hub": GROUND | {"zoo.layers", "zoo.weights"},
    "zoo.building": GROUND | MATERIALS | {"zoo.build_arguments", "zoo.build_checkpoint", "zoo.build_hub"},
    "zoo.bundle": GROUND | MATERIALS | {"zoo.building", "zoo.bundle_architecture", "zoo.bundle_index"},
    "zoo.data": GROUND | {"zoo.preprocessing"},
    "zoo.training": GROUND | {"zoo.layers", "zoo.preprocessing"},
    "zoo.compression": GROUND | {"zoo.layers", "zoo.training"},
    "zoo.generation": GROUND | {"zoo.layers", "zoo.preprocessing"},
    "zoo.plot_style": set(),
    "zoo.evaluation": GROUND | {"zoo.plot_style", "zoo.preprocessing"},
    "zoo.data_source": {"zoo.errors"},
    "zoo.run_folder": GROUND | {"zoo.bundle_index", "zoo.data_source", "zoo.training"},
    "zoo.runs": GROUND | MATERIALS | {"zoo.build_hub", "zoo.building", "zoo.bundle", "zoo.bundle_index", "zoo.data",
                                      "zoo.data_source", "zoo.training", "zoo.compression", "zoo.evaluation",
                                      "zoo.run_folder"},
    "zoo.run_examples": GROUND | {"zoo.data", "zoo.data_source", "zoo.run_folder", "zoo.runs"},
    "zoo.teaching": GROUND | {"zoo.bundle", "zoo.compression"},
    "zoo.retraining": GROUND | {"zoo.bundle", "zoo.bundle_index", "zoo.data_source", "zoo.run_folder", "zoo.runs",
                                "zoo.training"},
    "zoo.pruned_runs": GROUND | {"zoo.bundle", "zoo.bundle_index", "zoo.compression", "zoo.data", "zoo.data_source",
                                 "zoo.evaluation", "zoo.retraining", "zoo.run_folder", "zoo.runs", "zoo.teaching",
                                 "zoo.training"},
    "zoo": GROUND | {"zoo.registry"},
    "zoo.console": {"zoo.errors"},
    "zoo.cli_options": GROUND,
    "zoo.cli": {"zoo"},
    "zoo.cli_data": GROUND | {"zoo.registry", "zoo.cli_options", "zoo.data_source"},
    "zoo.search_winner": GROUND | {"zoo.bundle_index", "zoo.data_source"},
    "zoo.cli_build": {"zoo"},
    "zoo.cli_training": {"zoo"},
    "zoo.cli_pruning": {"zoo"},
    "zoo.__main__": {"zoo.cli", "zoo.console"},
    "serving": set(),
    "serving.errors": set(),
    "serving.fixed_weights": set(),
    "serving.manifest": {"serving.errors"},
    "serving.repository": {"serving.errors", "serving.manifest"},
    "serving.protocol": {"serving.errors"},
    "serving.client": {"serving.errors", "serving.protocol"},
    "serving.server": {"serving.errors", "serving.fixed_weights", "serving.protocol"},
    "serving.export": {"zoo", "serving.errors", "serving.fixed_weights", "serving.manifest", "serving.repository",
                       "serving.protocol"},
    "serving.demo": {"zoo", "serving"},
    "serving.cli": {"zoo", "serving"},
    "serving.cli_export": {"zoo", "serving"},
    "serving.cli_words": {"serving.errors", "serving.protocol"},
    "serving.cli_answers": {"zoo.console"},
    "serving.cli_predict": {"zoo", "serving"},
    "serving.cli_drift": {"zoo", "serving"},
    "serving.__main__": {"serving.cli", "zoo.console"},
    "tuning.errors": {"zoo.errors"},
    "tuning.trial": {"zoo.errors"},
    "tuning.objectives": {"zoo.errors"},
    "tuning.config": {"zoo.errors", "zoo.data_source", "tuning.objectives"},
    "tuning.folder": set(),
    "tuning.spaces": SEARCH_GROUND | {"zoo"},
    "tuning.hypermodel": SEARCH_GROUND | {"zoo", "tuning.spaces"},
    "tuning.study.pareto": SEARCH_GROUND,
    "tuning.oracles": SEARCH_GROUND | {"tuning.spaces", "tuning.study.pareto"},
    "tuning.study": SEARCH_GROUND | {"tuning.oracles", "tuning.spaces", "tuning.study.pareto"},
    "tuning.programs": SEARCH_GROUND | {"zoo", "tuning.spaces", "tuning.hypermodel"},
    "tuning.executors": SEARCH_GROUND | {"tuning.study", "tuning.oracles", "tuning.programs", "tuning.hypermodel",
                                         "zoo"},
    "tuning.report": SEARCH_GROUND | {"tuning.study", "tuning.study.pareto", "tuning.spaces", "zoo.plot_style"},
    "tuning": {"zoo", "tuning"},
}

# These may import our own packages inside functions, so that `zoo --help` is quick.
LAZY_IMPORTERS = ("zoo.cli", "zoo.cli_build", "zoo.cli_training", "zoo.cli_pruning", "serving.cli",
                  "serving.cli_export", "serving.cli_predict", "serving.cli_drift", "tuning.cli")

# These stand on top and may import anything of the packages named in their row.
ON_TOP = ("zoo.cli", "zoo.cli_build", "zoo.cli_training", "zoo.cli_pruning", "serving.cli", "serving.cli_export",
          "serving.cli_predict", "serving.cli_drift", "serving.demo", "serving.export", "tuning", "tuning.spaces",
          "tuning.hypermodel", "tuning.programs",
          "tuning.executors")

# Importing these must load none of the heavy packages.
LIGHT = ("zoo.errors", "zoo.preprocessing_spec", "zoo.spec", "zoo.catalog", "zoo.name_search", "zoo.registry",
         "zoo.build_arguments", "zoo.bundle_index", "zoo.data_source",
         "zoo", "zoo.console", "zoo.cli", "zoo.cli_options", "zoo.cli_data", "zoo.cli_build",
         "zoo.cli_training", "zoo.cli_pruning", "zoo.search_winner", "serving", "serving.errors",
         "serving.fixed_weights", "serving.manifest",
         "serving.repository", "serving.protocol", "serving.client", "serving.cli",
         "serving.cli_export", "serving.cli_predict", "serving.cli_drift", "tuning.errors", "tuning.trial",
         "tuning.objectives",
         "tuning.config", "tuning.folder", "tuning.spaces", "tuning.study", "tuning.cli",
         "tuning.cli_results", "tuning.cli_words")
HEAVY = {"tensorflow", "keras", "keras_hub", "tensorflow_text", "sklearn", "matplotlib", "scipy"}
FORBIDDEN_FOREIGN = {"serving.server": {"keras", "keras_hub"}, "serving.client": {"tensorflow", "keras"},
                     "serving.protocol": {"tensorflow", "keras"}}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
LONGEST_FILE_LINES = 400


def source_files() -> list[Path]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in files if not relative(path).startswith(GENERATED)]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    names = module.split(".")
    for length in range(len(names), 0, -1):
        candidate = ".".join(names[:length])
        if candidate in ALLOWED and (candidate != "zoo" or module == "zoo"):
            return candidate
    raise AssertionError(f"{module} belongs to no part of the import table; add it to ALLOWED and CONTRIBUTING.md")


def imports(path: Path) -> Iterator[tuple[str, int, bool, bool]]:
    """Yields (module, line, inside a function, only for type checkers)."""
    known = {module_name(p) for p in source_files()}

    def visit(node: ast.AST, inside: bool, typing_only: bool) -> Iterator[tuple[str, int, bool, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, inside, typing_only) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{relative(path)}:{child.lineno}: write absolute imports"
                module = child.module or ""
                for alias in child.names:
                    full = f"{module}.{alias.name}"
                    yield (full if full in known else module), child.lineno, inside, typing_only
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from visit(child, inside, True)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, inside or function, typing_only)

    yield from visit(ast.parse(path.read_text()), False, False)


def own(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def may_import(importer: str, imported: str) -> bool:
    target = part_of(imported)
    allowed = ALLOWED[importer]
    if target == importer or target in allowed:
        return True
    return importer in ON_TOP and any(whole in allowed and target.startswith(f"{whole}.") for whole in PACKAGES)


def test_imports_point_one_way() -> None:
    """No module imports a part that the table does not grant it."""
    wrong = []
    for path in source_files():
        importer = part_of(module_name(path))
        for module, line, _, typing_only in imports(path):
            if own(module) and not typing_only and not may_import(importer, module):
                wrong.append(f"{relative(path)}:{line}: {importer} may not import {module}. Move what both need down, "
                             f"or reach it by a builder string or entry point. Allowed: {sorted(ALLOWED[importer])}")
    assert not wrong, "\n".join(wrong)


def test_own_imports_stand_at_the_top() -> None:
    """Only the command-line modules import our own packages inside functions."""
    wrong = [f"{relative(path)}:{line}: import {module} at the top of the file; a hidden import hides a cycle"
             for path in source_files() if not module_name(path).startswith(LAZY_IMPORTERS)
             for module, line, inside, _ in imports(path) if inside and own(module)]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle() -> None:
    """The graph of our modules, imports inside functions included, has no cycle."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in source_files():
        for module, _, _, typing_only in imports(path):
            if own(module) and not typing_only:
                graph[module_name(path)].add(module)
    finished: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join((*trail[trail.index(module):], module))}"
        if module not in finished:
            for following in sorted(graph[module]):
                walk(following, (*trail, module))
            finished.add(module)

    for module in sorted(graph):
        walk(module, ())


def test_light_modules_stay_light() -> None:
    """What a listing, a client or `--help` imports names no heavy package at the top of a file."""
    wrong = [f"{relative(path)}:{line}: {module} is heavy; import it inside the function that needs it, or move the "
             "code" for path in source_files() if is_light(module_name(path))
             for module, line, inside, typing_only in imports(path)
             if not inside and not typing_only and module.split(".")[0] in HEAVY]
    assert not wrong, "\n".join(wrong)


def is_light(module: str) -> bool:
    return any(module == light or (light not in ("zoo", "serving") and module.startswith(f"{light}."))
               for light in LIGHT)


def test_foreign_packages_stay_where_they_belong() -> None:
    """The server never imports Keras, the client and the protocol never import TensorFlow, not even in a function."""
    wrong = [f"{relative(path)}:{line}: {part_of(module_name(path))} may not import {module}"
             for path in source_files()
             for module, line, _, typing_only in imports(path)
             if not typing_only and module.split(".")[0] in FORBIDDEN_FOREIGN.get(part_of(module_name(path)), ())]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", source_files(), ids=relative)
def test_files_are_short_and_well_named(path: Path) -> None:
    """A file says what it is in its first line, is no drawer, and can be read at one sitting."""
    tree = ast.parse(path.read_text())
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_FILE_LINES, f"{relative(path)}: {lines} lines; split it before {LONGEST_FILE_LINES}"
    assert path.stem not in DRAWERS, f"{relative(path)}: name the file after what is in it"
    assert ast.get_docstring(tree) or not tree.body, f"{relative(path)}: say in the first line what the file is"


def test_every_test_folder_is_a_package() -> None:
    """`tests/zoo` would shadow `zoo` without `__init__.py` files."""
    missing = [relative(folder) for folder in [ROOT / "tests", *(ROOT / "tests").rglob("*")]
               if folder.is_dir() and folder.name != "__pycache__" and any(folder.glob("*.py"))
               and not (folder / "__init__.py").exists()]
    assert not missing, f"add __init__.py to {missing}"


def test_tests_mirror_the_packages() -> None:
    """Each test file stands at the path of the module it tests."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests").parts
        if parts[0] not in PACKAGES:
            continue
        folder = ROOT.joinpath(*parts[:-1])
        stem = path.stem.removeprefix("test_")
        modules = {p.stem for p in [*folder.glob("*.py"), *folder.glob("*/"), folder]}
        if not any(stem == name or stem.startswith(f"{name}_") for name in modules):
            wrong.append(f"{relative(path)}: no module {'/'.join(parts[:-1])}/{stem}.py")
    assert not wrong, "\n".join(wrong)


def test_the_import_table_stands_in_contributing() -> None:
    """CONTRIBUTING.md shows every part of the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    missing = [part for part in ALLOWED if f"`{part}`" not in text]
    assert not missing, f"CONTRIBUTING.md does not name {missing}"


def test_the_project_speaks_of_itself_alone() -> None:
    """No file names a path of somebody's machine or a package index."""
    pattern = re.compile(r"/home/\w+/|/Users/\w+/|https?://[^ \"']*/simple\b|file:///opt")
    wrong = [relative(path) for path in ROOT.rglob("*")
             if path.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".yml"} or path.name == "Makefile"
             if path.is_file() and not set(path.relative_to(ROOT).parts) & {".venv", ".git", "demo-output"}
             and path != Path(__file__) and pattern.search(path.read_text(errors="replace"))]
    assert not wrong, f"these files name a machine's path or a package index: {wrong}"
