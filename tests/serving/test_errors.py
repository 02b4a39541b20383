"""The error tree."""

from __future__ import annotations

import re
import subprocess
import sys

from serving import errors
from serving.errors import ServingError, StatusCode, WireError, error_of_code


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """Every class is drawn, once, under its parent."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:[│├└─ ]{4})*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "Exception"
    actual = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ServingError)
    }
    assert drawn == actual


def test_every_code_has_its_class() -> None:
    """Each canonical code makes a WireError that carries it; numbers out of range count as UNKNOWN."""
    for code in StatusCode:
        if code is not StatusCode.OK:
            error = error_of_code(code, "words")
            assert isinstance(error, WireError)
            assert (error.code, str(error)) == (code, "words")
    assert error_of_code(99, "words").code is StatusCode.UNKNOWN


def test_catching_an_error_needs_nothing_else() -> None:
    """Importing the tree loads neither numpy nor TensorFlow, zoo or gRPC."""
    program = "import sys, serving.errors; assert not {'numpy', 'tensorflow', 'zoo', 'grpc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
