"""Handles of TF Hub and of Kaggle models: what they mean, and where their archives lie.

    tfhub:google/small_bert/bert_en_uncased_L-2_H-128_A-2/2
    https://tfhub.dev/google/small_bert/bert_en_uncased_L-2_H-128_A-2/2
    kaggle:tensorflow/bert/tensorFlow2/bert-en-uncased-l-2-h-128-a-2/2
    https://www.kaggle.com/models/tensorflow/bert/tensorFlow2/bert-en-uncased-l-2-h-128-a-2/2
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from zoo.errors import WeightsError
from zoo.spec import FileRef

TFHUB = "https://tfhub.dev"
KAGGLE = "https://www.kaggle.com"

_TFHUB_FORM = "tfhub:PUBLISHER/MODEL/VERSION"
_KAGGLE_FORM = "kaggle:OWNER/MODEL/tensorFlow2/VARIATION/VERSION"
_NAME = re.compile(r"[A-Za-z0-9_][\w.\-+]*")
_KAGGLE_PAGE = re.compile(r"models/([^/]+)/([^/]+)/(?:frameworks/)?([^/]+)/(?:variations/)?([^/]+)/(?:versions/)?(\d+)")


@dataclass(frozen=True)
class HubArchive:
    """A model on a hub.

    Attributes:
        address: The handle in its short form, such as "tfhub:google/nnlm-en-dim50/2".
        file: Its archive.
        handles: What other programs call it, for the names in their caches.
    """

    address: str
    file: FileRef
    handles: tuple[str, ...] = ()


def tfhub_archive(handle: str, sha256: str = "") -> HubArchive:
    """Returns what `tfhub:` names.

    Args:
        handle: What stands behind "tfhub:": publisher, model, variants and a version, between slashes.
        sha256: What the archive's content must be, where the user knows it.

    Returns:
        The model.

    Raises:
        WeightsError: The handle is malformed or has no version.
    """
    plain = handle.partition("?")[0].strip("/")
    parts = plain.split("/")
    if not all(_NAME.fullmatch(part) for part in parts) or len(parts) < 2:
        raise WeightsError(f"A TF Hub handle must read {_TFHUB_FORM}. Received: {'tfhub:' + handle!r}")
    if not parts[-1].isdigit():
        raise WeightsError(f"The TF Hub handle {handle!r} has no version, so what it means may change. Give one: "
                           f"'tfhub:{plain}/1'.")
    page = f"{TFHUB}/{plain}"
    file = FileRef(file_name=_archive_name(parts), urls=(f"{page}?tf-hub-format=compressed",), sha256=sha256)
    return HubArchive(f"tfhub:{plain}", file, (page, f"{page}/", f"http://tfhub.dev/{plain}"))


def kaggle_archive(handle: str, sha256: str = "") -> HubArchive:
    """Returns what `kaggle:` names where it is a SavedModel or another model in one archive.

    Args:
        handle: What stands behind "kaggle:": owner/model/framework/variation/version.
        sha256: What the archive's content must be, where the user knows it.

    Returns:
        The model.

    Raises:
        WeightsError: The handle is malformed or has no version.
    """
    plain = handle.strip("/")
    parts = plain.split("/")
    if len(parts) == 4 and all(_NAME.fullmatch(part) for part in parts):
        raise WeightsError(f"The Kaggle handle {handle!r} has no version, so what it means may change. Give one: "
                           f"'kaggle:{plain}/1'.")
    if len(parts) != 5 or not all(_NAME.fullmatch(part) for part in parts) or not parts[4].isdigit():
        raise WeightsError(f"A model on Kaggle must read {_KAGGLE_FORM}. Received: {'kaggle:' + handle!r}")
    url = f"{KAGGLE}/api/v1/models/{plain}/download"
    file = FileRef(file_name=_archive_name(parts), urls=(url,), sha256=sha256)
    page = f"{KAGGLE}/models/{plain}"
    old_page = f"{KAGGLE}/models/{parts[0]}/{parts[1]}/frameworks/{parts[2]}/variations/{parts[3]}/versions/{parts[4]}"
    return HubArchive(f"kaggle:{plain}", file, (page, old_page))


def handle_of_page(url: str) -> str:
    """Returns the handle that the page of a model stands for, or an empty string for any other address.

    Args:
        url: An http or https address.

    Returns:
        "tfhub:..." or "kaggle:...".

    Raises:
        WeightsError: A page of Kaggle's models that names none completely.
    """
    parts = urlsplit(url)
    host, path = (parts.hostname or "").removeprefix("www."), parts.path.strip("/")
    if host == "tfhub.dev":
        return f"tfhub:{path}"
    if host != "kaggle.com" or not path.startswith("models/"):
        return ""
    named = _KAGGLE_PAGE.match(path)
    if not named:
        raise WeightsError(f"The address {url.partition('?')[0]!r} names no version of a model. Expected {KAGGLE}"
                           "/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION.")
    return f"kaggle:{'/'.join(named.groups())}"


def _archive_name(parts: list[str]) -> str:
    # The name is only for people to recognise; the key of the cache entry tells archives of one name apart.
    return re.sub(r"[^A-Za-z0-9._-]", "_", "_".join(parts))[-100:].lstrip("._") + ".tar.gz"
