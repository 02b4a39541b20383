"""The journal keeps what it was given, whatever happens to the process and the disk."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuning.errors import StoreError
from tuning.study.journal import Journal, read_journal, write_whole

RECORDS = [{"kind": "remark", "text": f"the {number}th, with \"quotes\", a \n line break and an ä"}
           for number in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with five lines."""
    with Journal(tmp_path / "journal.jsonl") as journal:
        for record in RECORDS:
            journal.append([record])
    return tmp_path / "journal.jsonl"


def test_records_come_back_in_order(path: Path) -> None:
    """What was appended by two processes one after the other is read in order, and each line is JSON."""
    with Journal(path) as journal:
        assert list(journal.content.records) == RECORDS
        journal.append([{"kind": "a"}, {"kind": "b"}])
        journal.append([])
    assert list(read_journal(path).records) == [*RECORDS, {"kind": "a"}, {"kind": "b"}]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    """A search that has written nothing has no records, and looking makes no file."""
    assert list(read_journal(tmp_path / "journal.jsonl").records) == []
    assert not list(tmp_path.iterdir())


def test_a_tail_torn_at_any_byte_is_cut_off_and_kept(path: Path, tmp_path: Path) -> None:
    """Wherever in the last line a crash struck, the lines before stand, the next follows them, the rest is kept."""
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert list(read_journal(path).records) == RECORDS[:4]
        assert path.read_bytes() == whole[:end], "reading changes nothing"
        with Journal(path) as journal:
            assert journal.cut is not None
            assert journal.cut.read_bytes() == whole[last:end]
            journal.append([RECORDS[4]])
            journal.cut.unlink()
        assert path.read_bytes() == whole


def test_a_damaged_last_line_is_cut_off_and_kept(path: Path) -> None:
    """A last line with any one byte changed, as a loss of power can leave it, is no record."""
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for place in range(last, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:])
        content = read_journal(path)
        assert list(content.records) == RECORDS[:4]
        assert content.size + len(content.tail) == len(whole)


def test_kept_tails_do_not_replace_each_other(path: Path) -> None:
    """Two crashes leave two files."""
    for text in (b"first", b"second"):
        path.write_bytes(path.read_bytes() + text)
        Journal(path).close()
    assert [(path.parent / f"journal.jsonl.cut{n}").read_bytes() for n in (1, 2)] == [b"first", b"second"]


def test_damage_in_the_middle_is_refused(path: Path) -> None:
    """Any one byte changed before the last line is refused with the line and a remedy, and nothing is changed."""
    whole = path.read_bytes()
    starts = [0, *(place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))]
    for place in range(starts[-2]):
        damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:]
        path.write_bytes(damaged)
        line = sum(place >= start for start in starts)
        with pytest.raises(StoreError, match=f"line {line} of .*head -n {line - 1} "):
            Journal(path)
        assert path.read_bytes() == damaged


def test_a_missing_line_is_refused(path: Path) -> None:
    """A line that somebody took out, the one before the last too, is noticed by the numbers."""
    lines = path.read_bytes().splitlines(keepends=True)
    for gone in range(4):
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1:]))
        with pytest.raises(StoreError, match=f"line {gone + 1} of"):
            read_journal(path)


def test_the_remedy_works(path: Path) -> None:
    """What the message of a damaged middle says to type leaves the lines before it."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"the 2th", b"the 9th"))
    with pytest.raises(StoreError) as raised:
        read_journal(path)
    subprocess.run(str(raised.value).split("with: ")[1], shell=True, check=True, cwd=path.parent)
    assert list(read_journal(path).records) == RECORDS[:2]


@pytest.fixture
def little_room(path: Path) -> Iterator[int]:
    """For the test, no file of this process grows beyond the journal and 40 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = path.stat().st_size + 40
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_finds_no_room_leaves_the_journal_as_it_was(path: Path, little_room: int) -> None:
    """A line of which only a part fits is taken back, and the same journal takes it once there is room."""
    before = path.read_bytes()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with Journal(path) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (little_room, hard))
        for _ in range(3):
            with pytest.raises(StoreError, match=r"cannot be written: .* make room"):
                journal.append([{"kind": "remark", "text": "x" * 100}])
            assert path.read_bytes() == before
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        journal.append([{"kind": "again"}])
    assert list(read_journal(path).records) == [*RECORDS, {"kind": "again"}]


_FILL_A_DISK = """
import sys
from pathlib import Path
from tuning.errors import StoreError
from tuning.study.journal import Journal, read_journal
path = Path(sys.argv[1]) / "journal.jsonl"
kept = 0
with Journal(path) as journal:
    try:
        while True:
            journal.append([{"kind": "remark", "number": kept, "text": "x" * 999}])
            kept += 1
    except StoreError as error:
        assert "No space left on device" in str(error), error
    full = len(list(read_journal(path).records))
    (Path(sys.argv[1]) / "ballast").unlink()
    journal.append([{"kind": "after"}])
records = list(read_journal(path).records)
assert records[-1] == {"kind": "after"} and full == kept == len(records) - 1, (full, kept, len(records))
print(kept)
"""


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """On a real disk of 256 KiB the journal keeps each record that was acknowledged, and goes on once there is room."""
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("this system lets no one mount a small disk of his own")
    command = ('mount -t tmpfs -o size=256k none "$1" && head -c 99000 /dev/zero > "$1/ballast" && '
               'exec "$2" -c "$3" "$1"')
    answer = subprocess.run(["unshare", "-rm", "sh", "-c", command, "sh", tmp_path, sys.executable, _FILL_A_DISK],
                            capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert 100 < int(answer.stdout) < 200


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    """A record that nobody would keep is refused."""
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        journal.append(RECORDS)


def test_a_journal_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """A folder in the journal's place is named with the reason."""
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"cannot be read: .*journal\.jsonl: Is a directory"):
        Journal(tmp_path / "journal.jsonl")


def test_what_json_cannot_hold_is_not_written(path: Path) -> None:
    """A number that is none is a mistake of the caller and never half a line."""
    before = path.read_bytes()
    with Journal(path) as journal, pytest.raises(ValueError, match="Out of range"):
        journal.append([{"kind": "epoch", "value": float("nan")}])
    assert path.read_bytes() == before


def test_a_file_is_there_as_a_whole_or_as_before(tmp_path: Path, little_room: int, path: Path) -> None:
    """`write_whole` replaces a file, and leaves the old one and nothing else where the new one does not fit."""
    target = tmp_path / "winner.json"
    write_whole(target, b"old")
    write_whole(target, b"newer", wait=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (little_room, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match="File too large"):
        write_whole(target, b"x" * 10_000)
    assert target.read_bytes() == b"newer"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["journal.jsonl", "winner.json"]


_WRITE_ON_AND_ON = """
import os, sys
from pathlib import Path
from tuning.study.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    number = sum(1 for _ in journal.content.records)
    os.write(1, b"ready\\n")
    while True:
        batch = [{"kind": "remark", "number": number + further, "text": "x" * (number * 37 % 3000)}
                 for further in range(1 + number % 3)]
        journal.append(batch)
        number += len(batch)
        os.write(1, b"%d\\n" % number)
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A process that writes in a loop is killed 12 times at random moments; each next one goes on with no gap."""
    path = tmp_path / "journal.jsonl"
    moments = random.Random(5)
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", _WRITE_ON_AND_ON, path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.05))
            os.kill(writer.pid, signal.SIGKILL)
            *_, acknowledged = [0, *map(int, writer.stdout.read().splitlines())]
        numbers = [record["number"] for record in read_journal(path).records]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= acknowledged
    assert len(numbers) > 100
