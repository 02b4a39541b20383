from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from zoo.errors import WeightsError
from zoo.weights import hdf5


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["key"] = np.ones(3)
    return tmp_path / "secret.h5"


def test_datasets_come_with_their_paths(tmp_path: Path) -> None:
    """All datasets are found, however deep."""
    with h5py.File(tmp_path / "a", "w") as file:
        file["x/y/z"] = np.zeros((2, 3))
        file["b"] = np.zeros(1)
    with hdf5.opened(tmp_path / "a") as file:
        assert {name: data.shape for name, data in hdf5.datasets(file)} == {"b": (1,), "x/y/z": (2, 3)}


def test_links_out_of_the_file_are_refused(tmp_path: Path, secret: Path) -> None:
    """A weights file cannot make the process read another file into the model."""
    with h5py.File(tmp_path / "a", "w") as file:
        file["external"] = h5py.ExternalLink(str(secret), "/key")
        file["soft"] = h5py.SoftLink("/elsewhere")
    with hdf5.opened(tmp_path / "a") as file:
        for name in ("external", "soft"):
            with pytest.raises(WeightsError, match="link, which is refused"):
                hdf5.member(file, name)
        with pytest.raises(WeightsError, match="link"):
            list(hdf5.datasets(file))


def test_values_in_another_file_are_refused(tmp_path: Path, secret: Path) -> None:
    """Virtual datasets and external storage are links in another dress."""
    layout = h5py.VirtualLayout((3,), "float64")
    layout[:] = h5py.VirtualSource(str(secret), "key", (3,))
    with h5py.File(tmp_path / "a", "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (3,), "float64", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    with hdf5.opened(tmp_path / "a") as file:
        for name in ("virtual", "raw"):
            with pytest.raises(WeightsError, match="in another file"):
                hdf5.member(file, name)


def test_absurd_depth_is_refused(tmp_path: Path) -> None:
    """A file of nested groups does not exhaust the stack."""
    with h5py.File(tmp_path / "a", "w") as file:
        file["/".join("g" * 200)] = 1
    with hdf5.opened(tmp_path / "a") as file, pytest.raises(WeightsError, match="deeper than"):
        list(hdf5.datasets(file))


def test_long_lists_of_names_are_put_together(tmp_path: Path) -> None:
    """Keras splits a list of names that is too long for one attribute."""
    with h5py.File(tmp_path / "a", "w") as file:
        file.attrs["names0"], file.attrs["names1"], file.attrs["one"] = [b"a"], [b"b"], ["c"]
    with hdf5.opened(tmp_path / "a") as file:
        assert (hdf5.texts(file, "names"), hdf5.texts(file, "one"), hdf5.texts(file, "no")) == (["a", "b"], ["c"], [])


def test_a_broken_file_is_one_clear_error(tmp_path: Path) -> None:
    """A file that is cut short says so instead of raising the library's error."""
    (tmp_path / "a").write_bytes(b"\x89HDF\r\n\x1a\n broken")
    with pytest.raises(WeightsError, match="cannot be read as an HDF5 file"), hdf5.opened(tmp_path / "a"):
        pass
