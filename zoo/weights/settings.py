"""How files are fetched and where they are kept, read from the environment."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import ArgumentError

CACHE_VARIABLE = "ZOO_CACHE"
OFFLINE_VARIABLE = "ZOO_OFFLINE"
MIRROR_VARIABLE = "ZOO_MIRROR"

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, kw_only=True)
class DownloadSettings:
    """How files are fetched and where they are kept.

    Attributes:
        cache_root: Folder of the cache; made when the first file comes.
        offline: Never touch the network.
        mirror: Address of a copy of the cache's `files` folder, tried before every other address.
        credentials: Authorization header per host ("host" or "host:port"). One is sent to its own host only.
        attempts: How often one address is tried without a byte of progress before the next one is.
        backoff_seconds: Pause before the second attempt; each further one is twice as long.
        connect_timeout_seconds: Longest wait for a connection.
        read_timeout_seconds: Longest silence within a transfer.
    """

    cache_root: Path
    offline: bool = False
    mirror: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempts: int = 4
    backoff_seconds: float = 0.5
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> DownloadSettings:
        """Reads ZOO_CACHE, ZOO_OFFLINE, ZOO_MIRROR, HF_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY.

        Args:
            environment: Variables in place of the process's own.

        Returns:
            The settings; the cache is `~/.cache/servable-zoo` (or below XDG_CACHE_HOME) unless ZOO_CACHE names one.

        Raises:
            ArgumentError: ZOO_OFFLINE is neither yes nor no, or ZOO_MIRROR is no address.
        """
        variables = os.environ if environment is None else environment
        return cls(cache_root=_cache_root(variables), offline=_is_offline(variables), mirror=_mirror(variables),
                   credentials=_credentials(variables))


def _cache_root(variables: Mapping[str, str]) -> Path:
    if variables.get(CACHE_VARIABLE):
        return Path(variables[CACHE_VARIABLE]).expanduser().absolute()
    above = variables.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path there is to be ignored.
    return (Path(above) if Path(above).is_absolute() else Path.home() / ".cache") / "servable-zoo"


def _is_offline(variables: Mapping[str, str]) -> bool:
    value = variables.get(OFFLINE_VARIABLE, "").strip().lower()
    if value not in _YES | _NO:
        raise ArgumentError(f"{OFFLINE_VARIABLE} must be 1 (never touch the network) or 0. "
                            f"Received: {variables[OFFLINE_VARIABLE]!r}")
    return value in _YES


def _mirror(variables: Mapping[str, str]) -> str:
    value = variables.get(MIRROR_VARIABLE, "").strip().rstrip("/")
    if value and not value.startswith(("https://", "http://", "file://")):
        raise ArgumentError(f"{MIRROR_VARIABLE} must be an address such as https://host/folder. Received: {value!r}")
    return value


def _credentials(variables: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if variables.get("HF_TOKEN"):
        found["huggingface.co"] = f"Bearer {variables['HF_TOKEN'].strip()}"
    if variables.get("KAGGLE_USERNAME") and variables.get("KAGGLE_KEY"):
        pair = f"{variables['KAGGLE_USERNAME'].strip()}:{variables['KAGGLE_KEY'].strip()}"
        found["www.kaggle.com"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return found
