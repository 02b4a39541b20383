"""What a server's settings mean for the life of its models: where they come from, and what keeps them."""

from __future__ import annotations

from pathlib import Path

from serving.server.config_files import read_model_configs
from serving.server.config_watch import ConfigWatch
from serving.server.manager import Loader, ModelManager
from serving.server.model_config import Latest
from serving.server.openvino_servable import load_openvino_servable
from serving.server.servable import Servable, load_servable
from serving.server.session_config import forget_cached_files, session_config_of
from serving.server.settings import ServerSettings
from serving.server.source import GRAPH_FILES, TFLITE_FILE, ConfiguredSource, FolderSource, ModelSource
from serving.server.tflite_servable import load_tflite_servable


def source_of(settings: ServerSettings) -> ModelSource:
    """Where the versions come from.

    Args:
        settings: What to serve.

    Returns:
        A folder of models, or the models of a list or of a file.

    Raises:
        RepositoryError: The folder of all models does not exist.
        SettingsError: The file with the models cannot be read.
    """
    policy = Latest(settings.latest_versions)
    files = (*GRAPH_FILES, TFLITE_FILE) if settings.prefer_tflite_model else GRAPH_FILES
    if settings.root is not None:
        return FolderSource(settings.root, settings.model_name, policy=policy, files=files)
    if settings.model_config_file is not None:
        configs = read_model_configs(settings.model_config_file)
    else:
        configs = settings.models
    return ConfiguredSource(configs, policy=policy, files=files)


def manager_of(settings: ServerSettings, load: Loader) -> ModelManager:
    """What keeps the loaded versions as the settings say.

    Args:
        settings: What to serve and how.
        load: Loads and warms up one version.

    Returns:
        The manager, not started.

    Raises:
        RepositoryError: The folder of all models does not exist.
        SettingsError: The file with the models cannot be read.
    """
    return ModelManager(
        source_of(settings),
        load,
        poll_interval_seconds=settings.poll_interval_seconds,
        load_retries=settings.load_retries,
        load_retry_interval_seconds=settings.load_retry_interval_seconds,
        load_threads=settings.load_threads,
        unload_threads=settings.unload_threads,
        allow_labels_for_unavailable=settings.allow_version_labels_for_unavailable_models,
    )


def config_watch_of(settings: ServerSettings, manager: ModelManager) -> ConfigWatch | None:
    """What reads the file with the models again and again.

    Args:
        settings: The file, and how often.
        manager: What follows it.

    Returns:
        The watch, not started; None where the file is read once or there is none.
    """
    if settings.model_config_file is None or settings.model_config_poll_seconds <= 0:
        return None
    return ConfigWatch(settings.model_config_file, read_model_configs, manager, settings.model_config_poll_seconds)


def load_version(settings: ServerSettings, model: str, version: int, folder: Path) -> Servable:
    """Load one version, not yet warmed up.

    Args:
        settings: How to load, and whether TF Lite models are preferred.
        model: The model's name.
        version: The version's number.
        folder: Its folder.

    Returns:
        The loaded version.

    Raises:
        ModelLoadError: The folder cannot be loaded.
    """
    if settings.prefer_tflite_model and (folder / TFLITE_FILE).is_file():
        return load_tflite_servable(model, version, folder, interpreters=settings.tflite_interpreters)
    config, tags = session_config_of(settings), settings.saved_model_tags
    if settings.runtime == "openvino":
        servable = load_openvino_servable(
            model,
            version,
            folder,
            config=config,
            tags=tags,
            precision=settings.openvino_precision,
            threads=settings.intra_op_threads,
        )
    else:
        servable = load_servable(model, version, folder, config=config, tags=tags)
    if settings.flush_filesystem_caches:
        forget_cached_files(folder)
    return servable
