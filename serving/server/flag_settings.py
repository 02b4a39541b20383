"""From the flags of `zoo-model-server` to the settings of a server, with the files that the flags name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from serving.errors import SettingsError
from serving.server.batching_parameters import BatchingParameters
from serving.server.config_files import (
    check_thread_pool_factory,
    read_batching_parameters,
    read_metrics_path,
    read_model_configs,
    read_platform_settings,
    read_session_config,
    read_tls_files,
)
from serving.server.flag_table import ALL_FLAGS
from serving.server.flags import Effect, FlagValues
from serving.server.model_config import ModelConfig
from serving.server.request_log_settings import RequestLogSettings
from serving.server.settings import METRICS_PATH, ServerSettings

_MICROSECONDS = 1_000_000
_NO_TIMEOUT_SECONDS = 365.0 * 24 * 3600
# The settings that messages name, and the flags that users know them by.
_FLAG_OF_SETTING: Final = {
    "grpc_port": "port",
    "rest_port": "rest_api_port",
    "host": "zoo_host",
    "gpu_memory_fraction": "per_process_gpu_memory_fraction",
    "drain_seconds": "zoo_drain_seconds",
    "max_connections": "zoo_max_connections",
    "max_rest_body_bytes": "zoo_max_rest_body_bytes",
    "requests_per_second": "zoo_requests_per_second",
    "request_burst": "zoo_request_burst",
    "tokens_file": "zoo_tokens_file",
    "access_log": "zoo_access_log",
    "request_log": "zoo_request_log_folder",
    "drift_baseline": "zoo_drift_baseline",
    "traces_endpoint": "zoo_traces_endpoint",
    "runtime": "zoo_runtime",
    "openvino_precision": "zoo_openvino_precision",
    "sampling_rate": "zoo_request_log_sampling_rate",
}
# Flags that another flag's file stands above.
_IGNORED_WITH: Final = {
    "model_config_file": ("model_name", "model_base_path"),
    "platform_config_file": (
        "enable_batching",
        "batching_parameters_file",
        "enable_per_model_batching_parameters",
        "tensorflow_session_parallelism",
        "tensorflow_intra_op_parallelism",
        "tensorflow_inter_op_parallelism",
        "tensorflow_session_config_file",
        "per_process_gpu_memory_fraction",
        "mixed_precision",
        "saved_model_tags",
        "enable_model_warmup",
        "num_request_iterations_for_warmup",
        "prefer_tflite_model",
        "num_tflite_pools",
        "num_tflite_interpreters_per_pool",
    ),
}
_NAMED_SETTING: Final = re.compile(r"`(\w+)`")
_log = logging.getLogger(__name__)


def settings_of(flags: FlagValues) -> ServerSettings:
    """The settings that a command line stands for. Flags that mean nothing here are said once in the log.

    Args:
        flags: The values of all flags in `flag_table.ALL_FLAGS`.

    Returns:
        The settings.

    Raises:
        SettingsError: Flags contradict each other, or a value or a file cannot be used.
        TlsError: A TLS file holds no key or certificate.
    """
    _tell_of_flags_without_effect(flags)
    platform_file = flags.text("platform_config_file")
    return ServerSettings(
        **_models(flags),
        **_addresses(flags),
        **_lifecycle(flags),
        **(read_platform_settings(Path(platform_file)) if platform_file else _tensorflow(flags)),
        **_answers(flags),
        **_own(flags),
    )


def naming_flags(message: str) -> str:
    """A message with the names of flags in place of those of settings.

    Args:
        message: A message that may name settings, such as "`grpc_port` must be ...".

    Returns:
        The message, such as "--port must be ...".
    """
    return _NAMED_SETTING.sub(_flag_name, message)


def _flag_name(named: re.Match[str]) -> str:
    flag = _FLAG_OF_SETTING.get(named[1])
    return f"--{flag}" if flag else named[0]


def _tell_of_flags_without_effect(flags: FlagValues) -> None:
    silent = [flag.name for flag in ALL_FLAGS if flag.effect is Effect.NONE and flag.name in flags.given]
    if silent:
        _log.info("Accepted, but without a meaning here: %s", _listed(silent))
    for file, names in _IGNORED_WITH.items():
        ignored = [name for name in names if name in flags.given]
        if flags.text(file) and ignored:
            _log.warning("Ignored, because --%s says it: %s", file, _listed(ignored))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def _models(flags: FlagValues) -> dict[str, Any]:
    file = flags.text("model_config_file")
    if file:
        read_model_configs(Path(file))  # a mistake is found now and not after TensorFlow is imported
        return {
            "model_config_file": Path(file),
            "model_config_poll_seconds": float(max(0, flags.int("model_config_file_poll_wait_seconds"))),
            "allow_version_labels_for_unavailable_models": flags.bool("allow_version_labels_for_unavailable_models"),
        }
    folder, name = flags.text("model_base_path"), flags.text("model_name")
    if not folder:
        raise SettingsError("Both --model_base_path and --model_config_file are empty. Give one of them.")
    if "://" in folder:
        raise SettingsError(f"--model_base_path must be a folder. Received the address: {folder}")
    if not name:
        raise SettingsError("--model_name is empty. Leave it out to call the model `default`.")
    return {"models": (ModelConfig(name, Path(folder).absolute()),)}


def _addresses(flags: FlagValues) -> dict[str, Any]:
    port, rest_port = flags.int("port"), flags.int("rest_api_port")
    if rest_port and rest_port == port:
        _log.error("--rest_api_port cannot be the same as --port. REST is switched off; give it a port of its own.")
        rest_port = 0
    if flags.bool("use_alts_credentials"):
        raise SettingsError("--use_alts_credentials works on Google Cloud only. Use --ssl_config_file for encryption.")
    ssl_file, rest_ssl_file = flags.text("ssl_config_file"), flags.text("zoo_rest_ssl_config_file")
    timeout_seconds = flags.int("rest_api_timeout_in_ms") / 1000
    return {
        "host": flags.text("zoo_host"),
        "grpc_port": port or None,
        "rest_port": rest_port or None,
        "grpc_socket_path": flags.text("grpc_socket_path") or None,
        "grpc_tls": read_tls_files(Path(ssl_file)) if ssl_file else None,
        "rest_tls": read_tls_files(Path(rest_ssl_file)) if rest_ssl_file else None,
        "grpc_channel_arguments": _channel_arguments(flags.text("grpc_channel_arguments")),
        "grpc_threads": max(1, flags.int("grpc_max_threads")),
        "rest_threads": max(1, flags.int("rest_api_num_threads")),
        "rest_timeout_seconds": timeout_seconds if timeout_seconds > 0 else _NO_TIMEOUT_SECONDS,
        "cors": flags.bool("rest_api_enable_cors_support"),
    }


def _lifecycle(flags: FlagValues) -> dict[str, Any]:
    return {
        "poll_interval_seconds": float(flags.int("file_system_poll_wait_seconds")),
        "listen_when_loaded": not flags.bool("zoo_listen_at_once"),
        "load_retries": max(0, flags.int("max_num_load_retries")),
        "load_retry_interval_seconds": max(0, flags.int("load_retry_interval_micros")) / _MICROSECONDS,
        "load_threads": max(0, flags.int("num_load_threads")) or ServerSettings.load_threads,
        "flush_filesystem_caches": flags.bool("flush_filesystem_caches"),
        "unload_threads": max(0, flags.int("num_unload_threads")) or ServerSettings.unload_threads,
    }


def _tensorflow(flags: FlagValues) -> dict[str, Any]:
    session_file, mixed_precision = flags.text("tensorflow_session_config_file"), flags.text("mixed_precision")
    if mixed_precision not in ("", "bfloat16"):
        raise SettingsError(f'--mixed_precision takes "bfloat16" or nothing. Received: {mixed_precision!r}')
    session_threads = _threads(flags, "session")
    intra_op, inter_op = _threads(flags, "intra_op"), _threads(flags, "inter_op")
    if session_threads and intra_op and inter_op:
        raise SettingsError(
            "Either --tensorflow_session_parallelism or --tensorflow_intra_op_parallelism and "
            "--tensorflow_inter_op_parallelism can be given, not all three."
        )
    if not intra_op and not inter_op:
        intra_op = inter_op = session_threads
    pools, interpreters = flags.int("num_tflite_pools"), flags.int("num_tflite_interpreters_per_pool")
    return {
        "session_config": read_session_config(Path(session_file)) if session_file else None,
        "intra_op_threads": intra_op,
        "inter_op_threads": inter_op,
        "gpu_memory_fraction": flags.float("per_process_gpu_memory_fraction"),
        "mixed_precision": mixed_precision or None,
        "saved_model_tags": tuple(tag for tag in flags.text("saved_model_tags").split(",") if tag) or ("serve",),
        "warm_up": flags.bool("enable_model_warmup"),
        "warm_up_iterations": max(1, flags.int("num_request_iterations_for_warmup")),
        "prefer_tflite_model": flags.bool("prefer_tflite_model"),
        "tflite_interpreters": max(1, pools) * max(1, interpreters),
        **_batching(flags),
    }


def _threads(flags: FlagValues, scope: str) -> int:
    return max(0, flags.int(f"tensorflow_{scope}_parallelism"))


def _batching(flags: FlagValues) -> dict[str, Any]:
    file = flags.text("batching_parameters_file")
    if not flags.bool("enable_batching"):
        if file:
            raise SettingsError("--batching_parameters_file is given without --enable_batching. Give both or neither.")
        if flags.bool("enable_per_model_batching_parameters"):
            _log.warning("--enable_per_model_batching_parameters does nothing without --enable_batching.")
        return {}
    if file:
        batching = read_batching_parameters(Path(file))
    else:
        batching = BatchingParameters(thread_pool_name="model_server_batch_threads")
    return {"batching": batching, "per_model_batching": flags.bool("enable_per_model_batching_parameters")}


def _answers(flags: FlagValues) -> dict[str, Any]:
    monitoring_file, factory_file = flags.text("monitoring_config_file"), flags.text("thread_pool_factory_config_file")
    if factory_file:
        check_thread_pool_factory(Path(factory_file))
    return {
        "metrics_path": read_metrics_path(Path(monitoring_file)) if monitoring_file else METRICS_PATH,
        "enable_health": flags.bool("enable_grpc_healthcheck_service"),
        "enable_profiler": flags.bool("enable_profiler"),
        "tensor_content_answers": flags.bool("enable_serialization_as_tensor_content"),
        "signature_method_check": flags.bool("enable_signature_method_name_check"),
    }


def _own(flags: FlagValues) -> dict[str, Any]:
    log_folder = flags.text("zoo_request_log_folder")
    request_log = RequestLogSettings(
        Path(log_folder),
        sampling_rate=flags.float("zoo_request_log_sampling_rate"),
        models=tuple(name for name in flags.text("zoo_request_log_models").split(",") if name),
    )
    return {
        "drain_seconds": flags.float("zoo_drain_seconds"),
        "max_connections": flags.int("zoo_max_connections"),
        "max_rest_body_bytes": flags.int("zoo_max_rest_body_bytes"),
        "tokens_file": _path(flags, "zoo_tokens_file"),
        "requests_per_second": flags.float("zoo_requests_per_second") or None,
        "request_burst": flags.int("zoo_request_burst") or None,
        "access_log": _path(flags, "zoo_access_log"),
        "request_log": request_log if log_folder else None,
        "drift_baseline": _path(flags, "zoo_drift_baseline"),
        "traces_endpoint": flags.text("zoo_traces_endpoint") or None,
        "runtime": flags.text("zoo_runtime"),
        "openvino_precision": flags.text("zoo_openvino_precision") or None,
        "web_page": flags.bool("zoo_web_page"),
        "open_inference": flags.bool("zoo_open_inference"),
        "enable_reflection": flags.bool("zoo_reflection"),
    }


def _path(flags: FlagValues, name: str) -> Path | None:
    return Path(flags.text(name)) if flags.text(name) else None


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    arguments: list[tuple[str, int | str]] = []
    for argument in filter(None, text.split(",")):
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise SettingsError(
                f"--grpc_channel_arguments takes name=value, with commas between, such as "
                f"grpc.max_connection_age_ms=2000. Received: {argument!r}"
            )
        arguments.append((name, _whole_number(value)))
    return tuple(arguments)


def _whole_number(text: str) -> int | str:
    try:
        number = int(text)
    except ValueError:
        return text
    return number if -(2**31) <= number < 2**31 else text
