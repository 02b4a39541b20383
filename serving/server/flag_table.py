"""Every flag that `zoo-model-server` takes, with tensorflow_model_server's names and defaults."""

from __future__ import annotations

from typing import Final

from serving.server.flags import Effect, Flag, processors
from serving.server.settings import MEBIBYTE

_THREADS: Final = 4 * processors()

THEIR_FLAGS: Final = (
    Flag("port", "int32", 8500, "TCP port of gRPC; 0 switches it off."),
    Flag("grpc_socket_path", "string", "", "Unix socket on which gRPC is answered too."),
    Flag("rest_api_port", "int32", 0, "TCP port of REST; 0 switches it off. It must differ from --port."),
    Flag("rest_api_num_threads", "int32", _THREADS, "REST requests that are answered at the same time."),
    Flag("rest_api_timeout_in_ms", "int32", 30000, "Longest time that a REST request is worked on; then 504."),
    Flag("rest_api_enable_cors_support", "bool", False, "Let pages of other origins call REST."),
    Flag("model_name", "string", "default", "Name of the one model. Ignored with --model_config_file."),
    Flag("model_base_path", "string", "", "Folder of the one model, with its numbered version folders. Ignored with "
         "--model_config_file, else required."),
    Flag("model_config_file", "string", "", "File that lists the models (ModelServerConfig, text)."),
    Flag("model_config_file_poll_wait_seconds", "int32", 0, "Time between two readings of --model_config_file; 0 reads "
         "it once."),
    Flag("allow_version_labels_for_unavailable_models", "bool", False, "Let a new label name a version that is not "
         "available yet."),
    Flag("file_system_poll_wait_seconds", "int32", 1, "Time between two looks for new versions; 0 looks once, below 0 "
         "never."),
    Flag("num_load_threads", "int32", 0, "Versions that are loaded at the same time; 0 leaves it to the server."),
    Flag("num_unload_threads", "int32", 0, "Versions that are unloaded at the same time; 0 leaves it to the server."),
    Flag("max_num_load_retries", "int32", 5, "How often a version that failed to load is tried again."),
    Flag("load_retry_interval_micros", "int64", 60_000_000, "Time between two such tries; below 0 does not wait."),
    Flag("flush_filesystem_caches", "bool", True, "Give the system's cache of a version's files back once it is "
         "loaded."),
    Flag("enable_model_warmup", "bool", True, "Replay a version's warm-up records before it becomes available."),
    Flag("num_request_iterations_for_warmup", "int32", 0, "How often each record is replayed; 0 or below: once."),
    Flag("saved_model_tags", "string", "serve", "Tags, with commas between, of the graph that is loaded."),
    Flag("prefer_tflite_model", "bool", False, "Serve model.tflite where a version has one."),
    Flag("num_tflite_pools", "int32", processors(), "Together with the next flag: requests that a TF Lite model "
         "answers at a time."),
    Flag("num_tflite_interpreters_per_pool", "int32", 1, "See --num_tflite_pools."),
    Flag("enable_batching", "bool", False, "Gather requests into batches."),
    Flag("batching_parameters_file", "string", "", "File that says how (BatchingParameters, text)."),
    Flag("enable_per_model_batching_parameters", "bool", False, "Batch only models with a batching_params.pbtxt of "
         "their own, by its values. Needs --enable_batching."),
    Flag("tensorflow_session_parallelism", "int64", 0, "Threads of a model; 0 leaves it to TensorFlow."),
    Flag("tensorflow_intra_op_parallelism", "int64", 0, "Threads within one operation; 0 leaves it to TensorFlow."),
    Flag("tensorflow_inter_op_parallelism", "int64", 0, "Threads across operations; 0 leaves it to TensorFlow."),
    Flag("tensorflow_session_config_file", "string", "", "File with options of sessions (ConfigProto, text); the flags "
         "of threads stand above it."),
    Flag("platform_config_file", "string", "", "File with options of the platform (PlatformConfigMap, text). Batching, "
         "threads, tags and warm-up are then taken from it alone."),
    Flag("per_process_gpu_memory_fraction", "float", 0.0, "Share of a GPU's memory that is taken; 0 leaves it to "
         "TensorFlow."),
    Flag("mixed_precision", "string", "", 'With "bfloat16", float32 models run in it where TensorFlow finds it safe.'),
    Flag("ssl_config_file", "string", "", "File with key and certificate of gRPC (SSLConfig, text)."),
    Flag("use_alts_credentials", "bool", False, "Refused: that kind of encryption exists on Google Cloud only."),
    Flag("grpc_channel_arguments", "string", "", "Options of gRPC's server: name=value, with commas between."),
    Flag("grpc_max_threads", "int32", _THREADS, "gRPC requests that are answered at the same time."),
    Flag("enable_grpc_healthcheck_service", "bool", False, "Answer gRPC's health service."),
    Flag("enable_profiler", "bool", True, "Answer TensorFlow's profiler service."),
    Flag("enable_serialization_as_tensor_content", "bool", False, "Answer gRPC with raw bytes, not typed fields."),
    Flag("enable_signature_method_name_check", "bool", False, "Refuse classify and regress on signatures that state "
         "another method."),
    Flag("monitoring_config_file", "string", "", "File that says where metrics are shown (MonitoringConfig, text)."),
    Flag("thread_pool_factory_config_file", "string", "", "File that names a thread pool factory "
         "(ThreadPoolFactoryConfig, text). It may name none, as in the original's own build."),
    Flag("remove_unused_fields_from_bundle_metagraph", "bool", True, "What is not used is never kept.", Effect.NONE),
    Flag("xla_cpu_compilation_enabled", "bool", False, "Graphs that ask for XLA get it.", Effect.NONE),
    Flag("xla_gpu_compilation_enabled", "bool", False, "Graphs that ask for XLA get it.", Effect.NONE),
    Flag("skip_initialize_tpu", "bool", False, "No TPU is ever initialized.", Effect.NONE),
)  # fmt: skip

OWN_FLAGS: Final = (
    Flag("zoo_host", "string", "0.0.0.0", "Address to listen on; 127.0.0.1 is reachable from this machine alone."),
    Flag("zoo_listen_at_once", "bool", False, "Open the ports before the models have loaded, and go on without "
         "those that cannot be."),
    Flag("zoo_drain_seconds", "float", 30.0, "How long a stop waits for requests under way."),
    Flag("zoo_rest_ssl_config_file", "string", "", "File with key and certificate of REST (SSLConfig, text)."),
    Flag("zoo_max_connections", "int32", 1024, "REST connections that are held open at the same time."),
    Flag("zoo_max_rest_body_bytes", "int64", 64 * MEBIBYTE, "Largest REST request body; larger ones get 413."),
    Flag("zoo_tokens_file", "string", "", "File with the bearer tokens that are let in, one per line."),
    Flag("zoo_requests_per_second", "float", 0.0, "Requests that one client may send on the average; 0: any number."),
    Flag("zoo_request_burst", "int32", 0, "Requests that one client may send at once; 0: one second's."),
    Flag("zoo_access_log", "string", "", "File with a line of JSON for each request."),
    Flag("zoo_request_log_folder", "string", "", "Folder for a sample of the requests, as PredictionLog records."),
    Flag("zoo_request_log_sampling_rate", "float", 0.01, "Share of the requests that is written there."),
    Flag("zoo_request_log_models", "string", "", "Names, with commas between, of the models that are; empty: all."),
    Flag("zoo_drift_baseline", "string", "", "Where the requests are that present ones are compared with."),
    Flag("zoo_traces_endpoint", "string", "", "Where OpenTelemetry traces are sent."),
    Flag("zoo_web_page", "bool", True, "Show a page for people at / of REST."),
    Flag("zoo_open_inference", "bool", True, "Answer the Open Inference (v2) protocol too."),
    Flag("zoo_reflection", "bool", True, "Answer gRPC's reflection service."),
    Flag("zoo_runtime", "string", "tensorflow", "What computes a model: tensorflow, or openvino where it can."),
    Flag("zoo_openvino_precision", "string", "", "float32 or bfloat16 for OpenVINO; empty: what the graph is written "
         "in."),
    Flag("zoo_json_events", "bool", False, "Print a line of JSON when listening, ready, stopping and stopped."),
)  # fmt: skip

ALL_FLAGS: Final = THEIR_FLAGS + OWN_FLAGS
