"""All checks on one exported version, run by the clean process that `serving.export.validate` starts."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ServingError
from serving.export.graph_checks import Graph, graph_findings
from serving.export.op_lists import KnownOp, known_ops
from serving.export.replay import LoadedVersion, contract_findings, golden_findings, one_line, warmup_findings
from serving.export.text_ops import load_text_ops, needs_text_ops, op_names
from serving.export.validation import Check, Finding, ValidationReport
from serving.fixed_weights import VARIABLE, assume_if_fixed, changing_weights
from serving.manifest import Manifest, file_faults, read_manifest

UNWANTED_MODULES = ("keras", "tf_keras", "zoo")


class Validator:
    """Runs the checks on one version and collects what they find.

    Args:
        directory: The version's folder.
        target: The TensorFlow Serving release to check against.
        alone: Whether this process does nothing else, so that it may be set up as a server would be.
    """

    def __init__(self, directory: Path, target: str, *, alone: bool = False) -> None:
        self.directory = directory
        self._alone = alone
        self.target = target
        self.checks: list[Check] = []
        self.findings: list[Finding] = []

    def run(self) -> ValidationReport:
        """Runs all checks that make sense and reports."""
        started = time.perf_counter()
        try:
            self._run()
        except ServingError as error:
            self.findings.append(Finding("loading", str(error)))
        for name in UNWANTED_MODULES:
            if sys.modules.get(name) is not None:
                self.findings.append(Finding("process", f"The validating process has imported {name!r}, so it proves "
                                             "little."))
        return ValidationReport(str(self.directory), self.target, tuple(self.checks), tuple(self.findings),
                                round(time.perf_counter() - started, 3))

    def _run(self) -> None:
        manifest = read_manifest(self.directory)
        faults = [Finding("files", fault) for fault in file_faults(self.directory, manifest)]
        self._note("files", f"{len(manifest.files)} files by size and SHA-256", faults)
        if faults:
            return  # whatever was changed, running it would prove nothing about what was exported
        known = known_ops(self.target)
        graph = self._graph()
        self._note("graph", f"{len(op_names(graph))} kinds of operations in {len(graph.functions)} functions against "
                   f"TensorFlow Serving {self.target}; XLA, Python, files, tables",
                   list(graph_findings(graph, known, self.target)))
        self._note("contract", f"{len(manifest.signatures)} signatures",
                   list(contract_findings(graph.meta_graph, manifest)))
        self._load_text_ops(graph, known)
        changing = (assume_if_fixed if self._alone else changing_weights)(graph.meta_graph)
        self._note("weights", f"{VARIABLE}=1 must not be set: {', '.join(changing)[:300]}" if changing else
                   "none depends on a request, so a server may keep them arranged", [])
        if not self.findings:
            self._replay(manifest)

    def _replay(self, manifest: Manifest) -> None:
        with LoadedVersion(self.directory) as version:
            self._note("loading", "as TensorFlow Serving does: session, tag 'serve', init operation", [])
            count, findings = warmup_findings(version, self.directory, manifest)
            self._note("warm-up", f"{count} records", findings)
            self._note("golden vectors", f"{len(manifest.golden)} requests, each as a batch, row by row and empty",
                       list(golden_findings(version, manifest)))

    def _graph(self) -> Graph:
        try:
            saved_model = saved_model_pb2.SavedModel.FromString((self.directory / "saved_model.pb").read_bytes())
        except Exception as error:
            self.findings.append(Finding("loading", f"saved_model.pb cannot be read: {one_line(error)}"))
            return Graph(saved_model_pb2.SavedModel().meta_graphs.add())
        serving = [meta_graph for meta_graph in saved_model.meta_graphs if "serve" in meta_graph.meta_info_def.tags]
        if not serving:
            self.findings.append(Finding("loading", "saved_model.pb has no graph with the tag 'serve'."))
        return Graph(serving[0] if serving else saved_model_pb2.SavedModel().meta_graphs.add())

    def _load_text_ops(self, graph: Graph, known: dict[str, KnownOp]) -> None:
        if needs_text_ops(graph, known):
            count, faults = load_text_ops()
            detail = f"{count} libraries of TensorFlow Text" if count else "operations of TensorFlow Text"
            self._note("text", detail, [Finding("text", fault) for fault in faults])

    def _note(self, name: str, detail: str, findings: list[Finding]) -> None:
        self.checks.append(Check(name, detail))
        self.findings += findings
