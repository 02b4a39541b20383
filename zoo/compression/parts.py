"""Which parts of a model belong together: atoms of channels, heads and units, and where the parameters hold them.

An atom stands for one thing that can be removed: a channel that a convolution makes, a unit of a dense layer, an
attention head. What must be removed together (channels that meet in a sum) is one atom in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["filters", "units", "heads"]
Role = Literal["makes", "reads", "follows"]


@dataclass(frozen=True)
class Use:
    """An axis of a variable whose positions belong to atoms.

    Attributes:
        variable: The Keras variable.
        axis: The axis, from 0.
        atoms: int [length of the axis]: the atom of each position.
        role: "makes" (the outputs of a kernel), "reads" (its inputs) or "follows" (one number per channel, such as a
            bias or the scale of a normalisation).
    """

    variable: Any
    axis: int
    atoms: np.ndarray
    role: Role


@dataclass(frozen=True)
class Setting:
    """An entry of a layer's configuration that counts atoms.

    Attributes:
        layer: The layer.
        name: The entry, such as "filters"; of a tuple its last number.
        atoms: int [count]: what it counts.
    """

    layer: Any
    name: str
    atoms: np.ndarray


@dataclass(frozen=True)
class Group:
    """Atoms that the same layers make, among which some can be removed.

    Attributes:
        name: The layers that make them, joined by "+".
        kind: What an atom is.
        atoms: int [size], in the order of the first layer's outputs.
    """

    name: str
    kind: Kind
    atoms: np.ndarray

    @property
    def size(self) -> int:
        """How many atoms it has."""
        return len(self.atoms)


@dataclass
class Parts:
    """The atoms of a model, as they are found.

    Attributes:
        uses: Where parameters hold atoms.
        settings: Where configurations count them.
    """

    uses: list[Use] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    _parents: list[int] = field(default_factory=list)
    _kinds: dict[int, Kind] = field(default_factory=dict)
    _makers: dict[int, str] = field(default_factory=dict)
    _fixed: set[int] = field(default_factory=set)

    def new(self, count: int, *, kind: Kind | None = None, maker: str = "") -> np.ndarray:
        """Returns `count` new atoms; without a `kind` they can never be removed."""
        atoms = np.arange(len(self._parents), len(self._parents) + count)
        self._parents.extend(atoms.tolist())
        for atom in atoms.tolist():
            if kind is None:
                self._fixed.add(atom)
            else:
                self._kinds[atom], self._makers[atom] = kind, maker
        return atoms

    @property
    def atoms(self) -> int:
        """How many atoms there are, removable or not."""
        return len(self._parents)

    def use(self, variable: Any, axis: int, atoms: np.ndarray, role: Role) -> None:
        """Notes that an axis of a variable belongs to atoms."""
        self.uses.append(Use(variable, axis, atoms, role))

    def count(self, layer: Any, name: str, atoms: np.ndarray) -> None:
        """Notes that an entry of a layer's configuration counts atoms."""
        self.settings.append(Setting(layer, name, atoms))

    def fix(self, atoms: Iterable[int]) -> None:
        """Keeps atoms for good."""
        self._fixed.update(int(atom) for atom in atoms)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Ties atoms to those at the same places: they stay or go together."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = self._root(a), self._root(b)
            if first != second:
                self._parents[max(first, second)] = min(first, second)

    def roots(self, atoms: np.ndarray) -> np.ndarray:
        """Returns the one atom that stands for all that each is tied to."""
        return np.array([self._root(int(atom)) for atom in atoms], dtype=int)

    def groups(self, kind: Kind) -> list[Group]:
        """Returns the atoms of a kind that can be removed, by the layers that make them.

        Args:
            kind: What they are; channels that a convolution and a dense layer make together are "filters".

        Returns:
            The groups, in the order of the model's layers.
        """
        fixed = {self._root(atom) for atom in self._fixed}
        members: dict[int, list[int]] = {}
        for atom in sorted(self._kinds):
            members.setdefault(self._root(atom), []).append(atom)
        found: dict[tuple[Kind, tuple[str, ...]], list[int]] = {}
        for root, own in members.items():
            if root in fixed:
                continue
            kinds = {self._kinds[atom] for atom in own}
            chosen: Kind = "filters" if "filters" in kinds else next(iter(kinds))
            found.setdefault((chosen, tuple(dict.fromkeys(self._makers[atom] for atom in own))), []).append(root)
        return [Group("+".join(names), chosen, np.array(atoms))
                for (chosen, names), atoms in found.items() if chosen == kind]

    def _root(self, atom: int) -> int:
        while self._parents[atom] != atom:
            self._parents[atom] = self._parents[self._parents[atom]]
            atom = self._parents[atom]
        return atom
