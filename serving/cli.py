"""The commands `zoo export`, `validate`, `serve`, `predict`, `drift` and `demo`, which the `zoo` command takes up.

Heavy imports stand inside the commands that need them, so that `zoo --help` is quick.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from serving import cli_drift, cli_export, cli_predict
from serving.cli_export import DEFAULT_ROOT, DEFAULT_TARGET, JsonOption

if TYPE_CHECKING:
    from serving.server.events import Reporter, ServerEvent

SERVE_OPTIONS = MappingProxyType({name: f"--{name.replace('_', '-')}" for name in (
    "host", "grpc_port", "rest_port", "model_name", "poll_interval_seconds", "drain_seconds", "drift_baseline",
    "traces_endpoint", "runtime", "openvino_precision")} | {"sampling_rate": "--request-log-rate"})


def register(app: typer.Typer) -> None:
    """Adds the serving commands to a command line.

    Args:
        app: The command line; the entry-point group "zoo.commands" calls this with the `zoo` command's.
    """
    app.command("export")(cli_export.export_command)
    app.command("validate")(validate_command)
    app.command("serve")(serve_command)
    app.command("predict")(cli_predict.predict_command)
    app.command("demo")(demo_command)
    cli_drift.register(app)


def validate_command(
    version: Annotated[Path, typer.Argument(help="A version's folder, such as models/digits/1.")],
    target_serving: Annotated[str, typer.Option(help="TensorFlow Serving release that must load it.")]
    = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Check an exported version in a clean process, as TensorFlow Serving would load it."""
    import json

    from serving.export.validation import validate

    report = validate(version, target_serving=target_serving)
    if as_json:
        from zoo.console import print_json

        print_json(json.loads(report.to_json()))
    else:
        for check in report.checks:
            failed = any(finding.check == check.name for finding in report.findings)
            typer.echo(f"{'FAIL' if failed else 'ok  '}  {check.name}: {check.detail}")
    report.require_ok()


def serve_command(
    root: Annotated[Path, typer.Argument(help="Folder with <model>/<version>/, or one model's own folder.")]
    = DEFAULT_ROOT,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is reachable from this machine alone.")]
    = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0 takes a free one.")] = 8500,
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of REST; 0 takes a free one.")] = 8501,
    model_name: Annotated[str | None, typer.Option(help="Name, where ROOT is one model's own folder.")] = None,
    poll_interval_seconds: Annotated[float, typer.Option(help="Time between two looks for new versions.")] = 1.0,
    drain_seconds: Annotated[float, typer.Option(help="How long a stop waits for requests under way.")] = 30.0,
    request_log: Annotated[Path | None, typer.Option(help="Folder to log a sample of the requests to, for `zoo export "
                                                          "--warmup-from` and `zoo drift`.")] = None,
    request_log_rate: Annotated[float, typer.Option(help="Share of the requests that is logged.")] = 0.01,
    drift_baseline: Annotated[Path | None, typer.Option(help="Baseline of `zoo drift learn` to compare requests and "
                                                             "answers with.")] = None,
    traces_endpoint: Annotated[str | None, typer.Option(help="OTLP/HTTP collector for traces, such as "
                                                             "http://localhost:4318.")] = None,
    runtime: Annotated[str, typer.Option(help="What computes a model: tensorflow, or openvino for what that can read "
                                              "of it.")] = "tensorflow",
    openvino_precision: Annotated[str | None, typer.Option(help="float32 or bfloat16; the graph's own if left out.")]
    = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
) -> None:
    """Answer requests as TensorFlow Serving does, over gRPC and REST, until stopped."""
    from serving.server.events import report_as_json, report_as_text
    from serving.server.launch import serve
    from serving.server.request_log_settings import RequestLogSettings
    from serving.server.settings import ServerSettings
    from zoo.console import naming_options

    with naming_options(SERVE_OPTIONS):
        logged = RequestLogSettings(request_log, request_log_rate) if request_log else None
        settings = ServerSettings(root=root, host=host, grpc_port=grpc_port, rest_port=rest_port, model_name=model_name,
                                  poll_interval_seconds=poll_interval_seconds, drain_seconds=drain_seconds,
                                  request_log=logged, drift_baseline=drift_baseline, traces_endpoint=traces_endpoint,
                                  runtime=runtime, openvino_precision=openvino_precision)
        status = serve(settings, _quiet_until_ready(report_as_json if as_json else report_as_text))
    raise typer.Exit(status)


def _quiet_until_ready(report: Reporter) -> Reporter:
    """Drops what native code says of itself at the start; what it says later may matter to who runs the server."""
    from serving.server.events import EventKind
    from zoo.console import drop_foreign_chatter

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors are shown
    show_again = drop_foreign_chatter()

    def tell(event: ServerEvent) -> None:
        if event.kind is not EventKind.LISTENING:
            show_again()
        report(event)

    return tell


def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything the demo makes.")]
    = Path("demo-output"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training pictures.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go the whole way with handwritten digits: train, evaluate, export, validate, serve, predict."""
    from zoo.console import load_tensorflow, print_json

    load_tensorflow()
    from serving.demo import run_demo

    summary = run_demo(output, epochs=epochs, tell=None if as_json else typer.echo)
    if as_json:
        print_json(summary)
