"""Stop strings are found wherever tokens cut them."""

from __future__ import annotations

import tensorflow as tf

from zoo.generation.stops import longer, no_text


def cuts(text: bytes, stops: list[bytes], sizes: list[int]) -> list[int]:
    """Where the text is cut when it comes in pieces of these sizes, one row each."""
    found = []
    for size in sizes:
        tail = no_text(1)
        for start in range(0, len(text), size):
            tail = longer(tail, tf.constant([text[start:start + size]]), tf.constant([stops]))
        assert int(tail.length[0]) == len(text)
        found.append(int(tail.cut[0]))
    return found


def test_pieces_do_not_hide_a_stop_string() -> None:
    """The text is cut at the same byte whether it comes byte by byte or at once."""
    text = "Ein Hörspiel.\n\nUser: ".encode()
    place = text.index(b"\n\nUser")
    assert cuts(text, [b"\n\nUser"], [1, 2, 3, 5, 7, len(text)]) == [place] * 6
    assert cuts(text, ["ö".encode()], [1, 2, len(text)]) == [text.index("ö".encode())] * 3
    assert cuts(text, [b"nowhere", b""], [1, 4]) == [-1, -1]


def test_the_first_place_in_a_piece_counts() -> None:
    """Of several stop strings in one piece the earliest cuts, and later ones change nothing."""
    assert cuts(b"abcabd", [b"bd", b"ca"], [6]) == [2]
    assert cuts(b"xxstopyystop", [b"stop"], [3]) == [2]


def test_a_stop_string_after_a_long_text() -> None:
    """Of a long text enough is kept for a stop string of the greatest length."""
    stop = b"s" * 127 + b"t"
    assert cuts(b"a" * 300 + stop, [stop], [1, 50]) == [300, 300]


def test_zero_bytes_are_no_padding() -> None:
    """A stop string that ends in a zero byte is not found at the end of a text without one."""
    assert cuts(b"ab", [b"b\0"], [1, 2]) == [-1, -1]
    assert cuts(b"ab\0c", [b"b\0"], [1, 4]) == [1, 1]


def test_every_row_has_its_own() -> None:
    """Rows are looked through for their own strings only; a row that has ended does not grow."""
    stops = tf.constant([[b"ne", b""], [b"x", b""], [b"ne", b""]])
    tail = longer(no_text(3), tf.constant([b"one", b"one", b""]), stops)
    assert tail.cut.numpy().tolist() == [1, -1, -1]
    assert tail.length.numpy().tolist() == [3, 3, 0]
