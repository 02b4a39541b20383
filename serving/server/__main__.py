"""`python -m serving.server ROOT`: the server without the `zoo` command, which needs none of its packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from serving.errors import ServingError
from serving.server.events import report_as_json, report_as_text
from serving.server.launch import serve
from serving.server.settings import ServerSettings


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve.

    Args:
        arguments: Words after the program's name; None takes the process's own.

    Returns:
        0 after a stop that was asked for, 2 for a folder, port or setting that cannot be used.
    """
    parser = argparse.ArgumentParser("python -m serving.server", description="Serve a folder of SavedModels.")
    parser.add_argument("root", type=Path, help="folder with <model>/<version>/saved_model.pb")
    parser.add_argument("--model-name", help="the name, where root is one model's own folder")
    parser.add_argument("--host", default=ServerSettings.host)
    parser.add_argument("--grpc-port", type=int, default=ServerSettings.grpc_port, help="0 = any free port")
    parser.add_argument("--rest-port", type=int, default=ServerSettings.rest_port, help="0 = any free port")
    parser.add_argument("--poll-interval-seconds", type=float, default=ServerSettings.poll_interval_seconds)
    parser.add_argument("--drain-seconds", type=float, default=ServerSettings.drain_seconds)
    parser.add_argument("--runtime", default=ServerSettings.runtime, help="tensorflow, or openvino where it can")
    parser.add_argument("--openvino-precision", help="float32 or bfloat16; as the graph is written if left out")
    parser.add_argument("--json", action="store_true", help="one JSON object per event on standard output")
    options = vars(parser.parse_args(arguments))
    report = report_as_json if options.pop("json") else report_as_text
    try:
        return serve(ServerSettings(**options), report)
    except ServingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
