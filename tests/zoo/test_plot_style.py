from __future__ import annotations

from zoo.plot_style import names_of, printable


def test_any_text_can_be_drawn() -> None:
    """Dollars start no formula, unknown signs become question marks, long names keep both ends."""
    assert printable("a $x$") == r"a \$x\$"
    assert printable("猫 cat\n") == "? cat"
    assert printable("abcdefghij", 5) == "ab…ij"
    assert printable("\udc80") == "?"
    assert names_of(["猫", "dog", ""], 20) == ["class 0", "dog", "class 2"]
