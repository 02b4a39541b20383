"""What chief and workers need of each other: an address, a shared folder, the same versions; checked all at once."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tuning.errors import EngineError
from tuning.folder import SearchFolder

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_HOST_VARIABLE, _PORT_VARIABLE = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
_DEFAULT = "127.0.0.1:0"

# What decides the numbers of a training, or what is said between chief and workers.
_PACKAGES = ("servable-zoo", "keras-tuner", "keras", "tensorflow", "tensorflow-cpu", "numpy")


@dataclass(frozen=True)
class Address:
    """Where the chief listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads HOST:PORT.

        Raises:
            EngineError: It has another form.
        """
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or int(match[2]) > 65535:
            raise EngineError("The chief's address reads HOST:PORT with a port up to 65535, such as 10.0.0.5:8571; "
                              f"port 0 takes a free one. Received: {text!r}")
        return cls(match[1], int(match[2]))

    @classmethod
    def given(cls, text: str | None) -> Self:
        """Reads HOST:PORT, or what KerasTuner's own variables say where it is None, or takes this machine alone.

        Raises:
            EngineError: It has another form, or only one of the two variables is set.
        """
        if text is not None:
            return cls.parse(text)
        host, port = os.environ.get(_HOST_VARIABLE), os.environ.get(_PORT_VARIABLE)
        if (host is None) != (port is None):
            raise EngineError(f"{_HOST_VARIABLE} and {_PORT_VARIABLE} belong together: set both, or neither and give "
                              f"the address. Received: {host!r} and {port!r}")
        return cls.parse(_DEFAULT if host is None else f"{host}:{port}")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class MeetingPlace:
    """The part of a search's folder in which chief and workers find each other.

    Args:
        folder: The search's folder, which every machine sees.
    """

    folder: SearchFolder

    @property
    def path(self) -> Path:
        """Where their files lie."""
        return self.folder.path / "workers"

    @property
    def token(self) -> Path:
        """What workers show to the chief, so that nobody else speaks in their name."""
        return self.path / "token"

    def beat(self, worker: str) -> Path:
        """Returns the file that a worker writes anew every few seconds.

        Args:
            worker: Its name.
        """
        return self.path / f"{worker}.json"

    def prepare(self) -> str:
        """Makes the place for a chief, and returns the token: the one that is there, so that workers stay known.

        Raises:
            OSError: It cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.token.exists():
            with os.fdopen(os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(16))
        return self.token.read_text().strip()

    def write_beat(self, worker: str, content: Mapping[str, Any]) -> None:
        """Writes a worker's file as a whole.

        Raises:
            OSError: It cannot be written.
        """
        staged = self.path / f".{worker}.new"
        staged.write_text(json.dumps(content))
        staged.replace(self.beat(worker))

    def read_beats(self) -> dict[str, dict[str, Any]]:
        """Returns the content of every worker's file; one that is being written is left out."""
        found = {}
        for path in sorted(self.path.glob("[!.]*.json")):
            try:
                content = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(content, dict):
                found[path.stem] = content
        return found


def versions() -> dict[str, str]:
    """Returns Python's version and those of the packages that have to be the same everywhere."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def different_versions(theirs: Mapping[str, str]) -> list[str]:
    """Returns a line for each version that differs from the chief's.

    Args:
        theirs: The chief's.
    """
    ours = versions()
    return [f"{name} is {ours.get(name, 'missing')} here and {theirs.get(name, 'missing')} at the chief"
            for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]


def chief_problems(address: Address, place: MeetingPlace) -> list[str]:
    """Returns what keeps a chief from working here.

    Args:
        address: Where it is to listen.
        place: Where it meets its workers.
    """
    problems = []
    try:
        place.prepare()
        place.write_beat("chief-probe", {})
        place.beat("chief-probe").unlink()
    except OSError as error:
        problems.append(f"{place.path} cannot be written: {error.strerror or error}")
    host = address.host.strip("[]")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        problems.append(f"the address {address} cannot be listened at: {error.strerror or error}; give an address of "
                        "this machine and a port that is free")
    return problems


def worker_problems(place: MeetingPlace, worker: str) -> list[str]:
    """Returns what keeps a worker from using the shared folder.

    Args:
        place: Where it meets the chief.
        worker: Its name.
    """
    if not place.folder.path.is_dir():
        return [f"the folder {place.folder.path} is not there; give the path by which this machine sees the search's "
                "folder"]
    if not place.path.is_dir():
        return [f"{place.folder.path} is not the folder that the chief works in: it has no {place.path.name}/"]
    problems = []
    try:
        place.token.read_text()
    except OSError as error:
        problems.append(f"{place.token} cannot be read: {error.strerror or error}; run as the same user as the chief")
    try:
        place.write_beat(worker, {"beat": 0})
    except OSError as error:
        problems.append(f"{place.path} cannot be written: {error.strerror or error}")
    return problems


def refusal(what: str, problems: Iterable[str]) -> EngineError:
    """Returns the error that names everything that is wrong.

    Args:
        what: Who cannot begin.
        problems: A line for each.
    """
    return EngineError(f"{what}:\n" + "\n".join(f"  - {problem}" for problem in problems))
