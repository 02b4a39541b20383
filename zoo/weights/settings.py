"""How files are fetched and where they are kept, read from the environment."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from zoo.errors import ArgumentError

CACHE_VARIABLE = "ZOO_CACHE"
OFFLINE_VARIABLE = "ZOO_OFFLINE"
MIRROR_VARIABLE = "ZOO_MIRROR"
# Where a hub has a stand-in; the names are those that the hubs' own clients read.
ENDPOINT_VARIABLES: Mapping[str, str] = MappingProxyType({
    "HF_ENDPOINT": "https://huggingface.co", "KAGGLE_API_ENDPOINT": "https://www.kaggle.com",
    "ZOO_TFHUB_ENDPOINT": "https://tfhub.dev"})
TFHUB_CACHE_VARIABLE = "TFHUB_CACHE_DIR"

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
        endpoints: Address of a stand-in by the hub's own address, such as "https://huggingface.co".
        tfhub_cache: Cache of the tensorflow_hub package, in which unpacked modules are looked for; it is only read.
        attempts: How often one address is tried without a byte of progress before the next one is.
        backoff_seconds: Pause before the second attempt; each further one is twice as long.
        connect_timeout_seconds: Longest wait for a connection.
        read_timeout_seconds: Longest silence within a transfer.
    """

    cache_root: Path
    offline: bool = False
    mirror: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    tfhub_cache: Path | None = None
    attempts: int = 4
    backoff_seconds: float = 0.5
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> DownloadSettings:
        """Reads ZOO_CACHE, ZOO_OFFLINE, ZOO_MIRROR, HF_TOKEN, KAGGLE_USERNAME, KAGGLE_KEY and TFHUB_CACHE_DIR.

        HF_ENDPOINT, KAGGLE_API_ENDPOINT and ZOO_TFHUB_ENDPOINT name stand-ins of the hubs, which get their tokens.

        Args:
            environment: Variables in place of the process's own.

        Returns:
            The settings; the cache is `~/.cache/servable-zoo` (or below XDG_CACHE_HOME) unless ZOO_CACHE names one.

        Raises:
            ArgumentError: ZOO_OFFLINE is neither yes nor no, or ZOO_MIRROR or an endpoint is no address.
        """
        variables = os.environ if environment is None else environment
        endpoints = {hub: _address(variables, name) for name, hub in ENDPOINT_VARIABLES.items()
                     if variables.get(name, "").strip()}
        modules = variables.get(TFHUB_CACHE_VARIABLE, "")
        return cls(cache_root=_cache_root(variables), offline=_is_offline(variables),
                   mirror=_address(variables, MIRROR_VARIABLE), credentials=_credentials(variables, endpoints),
                   endpoints=endpoints, tfhub_cache=Path(modules).expanduser() if modules else None)

    def address_of(self, url: str) -> str:
        """Returns where to ask for what lies at `url`: there, or at the stand-in of its hub."""
        for hub, endpoint in self.endpoints.items():
            if url.startswith(f"{hub}/"):
                return endpoint + url.removeprefix(hub)
        return url


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


def _address(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "").strip().rstrip("/")
    if value and not value.startswith(("https://", "http://", "file://")):
        raise ArgumentError(f"{name} must be an address such as https://host/folder. Received: {value!r}")
    return value


def _credentials(variables: Mapping[str, str], endpoints: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if variables.get("HF_TOKEN"):
        found["huggingface.co"] = f"Bearer {variables['HF_TOKEN'].strip()}"
    if variables.get("KAGGLE_USERNAME") and variables.get("KAGGLE_KEY"):
        pair = f"{variables['KAGGLE_USERNAME'].strip()}:{variables['KAGGLE_KEY'].strip()}"
        found["www.kaggle.com"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    stand_ins = {urlsplit(endpoint).netloc: found[urlsplit(hub).netloc] for hub, endpoint in endpoints.items()
                 if urlsplit(hub).netloc in found}
    return stand_ins | found
