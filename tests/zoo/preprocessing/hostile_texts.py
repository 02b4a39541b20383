"""Real and hostile texts for comparing tokenizers with the reference, the same in every run."""

from __future__ import annotations

import os
import random
from itertools import islice
from pathlib import Path

_ALPHABETS = (
    "abcdefghij ABCDEFGHIJ 'st're'll",
    "0123456789 ²½Ⅷ٣१",
    " \t\n\r\u00a0\u2003\u3000\u2028\u0085\x0b\x0c",
    "'\u2019`\u00b4\"!?.,;:-_()[]{}<>|~^$+=@#%&*/\\",
    "äöüßñçéèêåøæœÄÖÜÉİıſﬁﬂΣσςΑΩабвЖЗИ",
    "我喜欢吃苹果のカタカナ한국어각ㄱ𠀀𫝀豈",
    "e\u0301\u0300\u0327\u0323\u0345\u20dd\u093e\u1734\u0fb2",
    "😀👩\u200d👩\u200d👧🏽❤\ufe0f🇩🇪\U0001f9d1\u200d\U0001f4bb©®™",
    "\x00\x01\x1b\x7f\x80\x9f\u00ad\u200b\u200e\u202e\u2060\ufeff\ufffd\ufdd0\uffff\ue000\U0010ffff",
    "אבгדهوकखगไทย𞤀𐍈𝒜𝟘",
)
_WORDS = ("[CLS]", "[SEP]", "[MASK]", "[UNK]", "<|endoftext|>", "don't", "DON'T", "we'll", "##ing", "''s", "'s's",
          "  x", "naïve", "Straße")


def real_lines(data: Path, *, sentences: int = 7000, verse: int = 7000, code: int = 6000) -> list[str]:
    """Sentences of SST-2, lines of Shakespeare and of Python's own library."""
    lines = _lines(data / "sst2" / "train.tsv", sentences)
    lines += _lines(data / "shakespeare" / "input.txt", verse)
    modules = sorted(Path(os.__file__).parent.glob("*.py"))
    per_module = max(1, code // 60)
    return lines + [line for module in modules[:60] for line in _lines(module, per_module)]


def _lines(path: Path, count: int) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(islice(file, count))


def hostile_texts(count: int, seed: int = 0) -> list[str]:
    """Mixtures of alphabets, accents, emoji, control characters, words without end, and nothing."""
    chance = random.Random(seed)
    texts = ["", " ", "\n", "a" * 100, "a" * 101, "é" * 100, "é" * 101, "x" * 3000, "好" * 300, "!" * 500, " " * 700,
             "ab" * 200 + " c", *_WORDS]
    while len(texts) < count:
        alphabets = chance.sample(_ALPHABETS, chance.choice((1, 1, 2, 3, 10)))
        text = "".join(chance.choice(chance.choice(alphabets)) for _ in range(chance.randrange(40)))
        if chance.random() < 0.2:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + chance.choice(_WORDS) + text[place:]
        if chance.random() < 0.1:
            text += "".join(chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))))
                            for _ in range(5))
        texts.append(text)
    return texts


def broken_texts(count: int, seed: int = 1) -> list[bytes]:
    """Texts with bytes that are no UTF-8: cut off, swapped, surrogates, spelt too long, over the last character."""
    chance = random.Random(seed)
    pieces = (b"\xff", b"\xc3", b"\xe4\xbd", b"\xf0\x9f\x98", b"\x80", b"\xbf\xbf", b"\xed\xa0\x80", b"\xc0\xaf",
              b"\xe0\x80\xaf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x28\xa1")
    texts = []
    for text in hostile_texts(count, seed + 1):
        encoded = text.encode()
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(encoded) + 1)
            encoded = encoded[:place] + chance.choice(pieces) + encoded[place:]
        texts.append(encoded)
    return texts
