"""The manifest that runs a search on Kubernetes, held against KubeRay's fields, the pins and the command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tuning.cli import register

ROOT = Path(__file__).resolve().parents[3]

# Of ray.io/v1 in KubeRay 1.6, rayjob_types.go and raycluster_types.go.
JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata", "clusterSelector",
    "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode",
    "entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished",
    "shutdownAfterJobFinishes", "suspend"}
CLUSTER_FIELDS = {"headGroupSpec", "workerGroupSpecs", "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions",
                  "headServiceAnnotations", "suspend", "authOptions", "managedBy", "gcsFaultToleranceOptions"}
HEAD_FIELDS = {"serviceType", "headService", "enableIngress", "rayStartParams", "template", "resources", "labels"}
WORKER_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams", "template",
                 "scaleStrategy", "idleTimeoutSeconds", "suspend", "resources", "labels"}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """The job and its claim."""
    return list(yaml.safe_load_all((ROOT / "docker" / "kuberay-tune.yaml").read_text()))


@pytest.fixture(scope="module")
def cluster(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The job's cluster."""
    spec: dict[str, Any] = documents[0]["spec"]["rayClusterSpec"]
    return spec


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_every_field_is_one_of_kuberays(documents: list[dict[str, Any]], cluster: dict[str, Any]) -> None:
    """An operator ignores or refuses a field that it does not know; none is misspelt."""
    assert (documents[0]["apiVersion"], documents[0]["kind"]) == ("ray.io/v1", "RayJob")
    assert set(documents[0]["spec"]) <= JOB_FIELDS
    assert set(cluster) <= CLUSTER_FIELDS
    assert set(cluster["headGroupSpec"]) <= HEAD_FIELDS
    for group in cluster["workerGroupSpecs"]:
        assert set(group) <= WORKER_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "KubeRay wants strings"


def test_the_versions_are_those_of_the_image(cluster: dict[str, Any]) -> None:
    """The cluster names the Ray that the image installs, which is new enough for tokens."""
    pinned = re.search(r"^ray==(.+)$", (ROOT / ".ci" / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert cluster["rayVersion"] == pinned[1]
    assert cluster["authOptions"] == {"mode": "token"}


def test_all_pods_share_the_searchs_folder(documents: list[dict[str, Any]], cluster: dict[str, Any]) -> None:
    """Head and workers see the same claim at the same path, may write there, and the command searches in it."""
    claim = documents[1]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods(cluster):
        container, = pod["containers"]
        assert {"name": "search", "mountPath": "/search"} in container["volumeMounts"]
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert pod["securityContext"]["fsGroup"] == 1000
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts limits"
    words = shlex.split(documents[0]["spec"]["entrypoint"])
    assert words[words.index("-o") + 1].startswith("/search/")
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_command_is_one_of_ours(documents: list[dict[str, Any]]) -> None:
    """Every option of the entrypoint is one that `zoo tune` has."""
    app = typer.Typer()
    register(app)
    command: Any = typer.main.get_command(app)
    words = shlex.split(documents[0]["spec"]["entrypoint"])
    assert words[:2] == ["zoo", "tune"]
    search = (command.commands["tune"] if "tune" in getattr(command, "commands", {}) else command).commands
    known = {name for each in search.values() for parameter in each.params for name in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known
    assert words[words.index("--engine") + 1] == "ray"
