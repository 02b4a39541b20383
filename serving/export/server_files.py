"""server.env and server.flags: how a TensorFlow Serving that runs this version is best set up.

The first holds environment variables, a line each, as `docker run --env-file` reads them; the second one flag of
tensorflow_model_server per line. Both are the server's, not the model's: they hold for every model in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from serving.fixed_weights import VARIABLE, changing_weights

ENVIRONMENT_FILE = "server.env"
FLAGS_FILE = "server.flags"
# By default there are four for each processor, and a request that waits for its batch to fill holds one: the others
# are refused meanwhile.
_GRPC_THREADS = 256
_THREADS = re.compile(r"^--tensorflow_(intra_op|inter_op)_parallelism=(\d+)$", re.MULTILINE)


def write_server_files(folder: Path, threads: Mapping[str, int] | None = None) -> None:
    """Writes both files.

    Args:
        folder: The version's folder, with the SavedModel in it.
        threads: "intra_op" and "inter_op", the threads within one operation and across them; None leaves them to the
            server.
    """
    saved_model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    changing = [name for meta_graph in saved_model.meta_graphs for name in changing_weights(meta_graph)]
    (folder / ENVIRONMENT_FILE).write_text(_environment_text(changing), encoding="utf-8")
    flags = ["--enable_batching", "--enable_per_model_batching_parameters", f"--grpc_max_threads={_GRPC_THREADS}",
             *(f"--tensorflow_{name}_parallelism={count}" for name, count in (threads or {}).items())]
    (folder / FLAGS_FILE).write_text("".join(f"{flag}\n" for flag in flags), encoding="utf-8")


def server_environment(folder: Path) -> dict[str, str]:
    """The environment variables that a version's `server.env` has, by name; none where there is no such file.

    Args:
        folder: The version's folder.
    """
    path = folder / ENVIRONMENT_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def server_threads(folder: Path) -> dict[str, int]:
    """The threads that a version's `server.flags` has, "intra_op" and "inter_op"; none where it leaves them open.

    Args:
        folder: The version's folder.
    """
    path = folder / FLAGS_FILE
    flags = path.read_text(encoding="utf-8") if path.exists() else ""
    return {name: int(count) for name, count in _THREADS.findall(flags)}


def _environment_text(changing: list[str]) -> str:
    if changing:
        lines = ["# This version computes weights from the request, so no model of its server may keep them arranged:",
                 f"# {', '.join(changing[:3])}", f"{VARIABLE}=0"]
    else:
        lines = ["# Weights are arranged for the processor once, not at every request. Right for this version, whose",
                 "# weights never change; it must be right for every other model of the same server.", f"{VARIABLE}=1"]
    # Not TF_ONEDNN_USE_SYSTEM_ALLOCATOR=1: it gives the memory of unloaded versions back to the system, but large
    # results are then fetched from it at every operation (MobileNet V2, float32, 8 rows: 37 in place of 26 ms).
    return "\n".join(lines) + "\n"
