"""The cache of answers: found again, by whatever process, after whatever death; a damaged file costs what is damaged and no more."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from benchmark.llm.cache import APPLICATION, FORMAT, AnswerCache, Kept, NewerCache, default_file, key_of
from benchmark.runs import CannotWrite

MESSAGES = [{"role": "user", "content": "Is the heart large?"}]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}


def kept(number: int = 0, **other: object) -> Kept:
    return Kept(f'{{"answer": {number}}}', "any-2025", 100, 10, 0.25, "label", "any", 400)._replace(**other)  # type: ignore[arg-type]


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "place" / "answers.sqlite"


# ---- keys


def test_everything_that_decides_an_answer_is_in_its_key() -> None:
    same = ("any", {"temperature": 0.0}, MESSAGES, SCHEMA, 0)
    other = [
        ("other", *same[1:]),
        ("any", {"temperature": 0.1}, *same[2:]),
        ("any", {"temperature": 0.0, "seed": 0}, *same[2:]),
        ("any", {}, *same[2:]),
        (*same[:2], [{"role": "user", "content": "Is the heart large ?"}], SCHEMA, 0),
        (*same[:2], [{"role": "system", "content": "Is the heart large?"}], SCHEMA, 0),
        (*same[:2], [*MESSAGES, *MESSAGES], SCHEMA, 0),
        (*same[:3], None, 0),
        (*same[:3], {"type": "object"}, 0),
        (*same[:4], 1),
    ]
    assert len({key_of(*one) for one in (same, *other)}) == len(other) + 1  # type: ignore[arg-type]


def test_a_key_stays_the_same_however_the_same_is_written() -> None:
    """The order of settings, 0 or 0.0, the kind of mapping: none of it may be paid for twice."""
    one = key_of("any", {"temperature": 0.0, "max_tokens": 10}, MESSAGES, SCHEMA, 0)
    assert one == key_of("any", {"max_tokens": 10, "temperature": 0}, tuple(MESSAGES), MappingProxyType(dict(reversed(SCHEMA.items()))), 0)


def test_keys_do_not_change_from_one_version_of_the_program_to_the_next() -> None:
    """Another spelling would make every answer that was ever paid for unfindable."""
    written = '{"type":"object"}\n["any",{"max_tokens":10,"temperature":0},2]\ncontent:5:große\nrole:4:user'
    asked = key_of("any", {"temperature": 0.0, "max_tokens": 10}, [{"role": "user", "content": "große"}], {"type": "object"}, 2)
    assert asked == hashlib.sha256(written.encode()).hexdigest()


def test_text_cannot_pose_as_another_message() -> None:
    """A report that holds what stands between two parts of a question is still a text."""
    two = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    for glued in ("a\nrole:4:user\ncontent:1:b", "a\ncontent:1:b\nrole:4:user"):
        assert key_of("any", {}, two, None, 0) != key_of("any", {}, [{"role": "user", "content": glued}], None, 0)


def test_half_a_character_has_a_key() -> None:
    assert len(key_of("any", {}, [{"role": "user", "content": "half \ud83d of one"}], None, 0)) == 64


# ---- found again


def test_what_was_put_is_found_again_also_by_another_process(file: Path) -> None:
    AnswerCache(file).put(key(1), kept(1))
    code = "import sys; from pathlib import Path; from benchmark.llm.cache import AnswerCache\n"
    code += "print(AnswerCache(Path(sys.argv[1])).get_many([sys.argv[2]]))"
    other = subprocess.run([sys.executable, "-c", code, str(file), key(1)], capture_output=True, text=True, check=True, timeout=60)
    assert other.stdout.strip() == repr({key(1): kept(1)})


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 2_003])
def test_any_number_of_answers_is_found_at_once(file: Path, count: int) -> None:
    cache = AnswerCache(file)
    cache.put_many((key(number), kept(number)) for number in range(0, count, 2))
    assert cache.get_many(key(number) for number in range(count)) == {key(number): kept(number) for number in range(0, count, 2)}


@pytest.mark.parametrize(
    "text", ["", "größer, 正常, 🫀", "half \ud83d of one", "\0 and \n", "x" * 3_000_000], ids=["empty", "letters", "half", "signs", "long"]
)
def test_any_text_comes_back_as_it_was(file: Path, text: str) -> None:
    cache = AnswerCache(file)
    cache.put(key(1), kept(text=text, cost=None))
    assert cache.get_many([key(1)]) == {key(1): kept(text=text, cost=None)}


def test_the_later_answer_takes_the_place_of_the_earlier(file: Path) -> None:
    """So a refreshed answer does."""
    cache = AnswerCache(file)
    cache.put(key(1), kept(1))
    cache.put(key(1), kept(2))
    assert cache.get_many([key(1)]) == {key(1): kept(2)}
    assert cache.sizes()[0].answers == 1


def test_threads_may_share_it(file: Path) -> None:
    cache = AnswerCache(file)
    threads = [
        threading.Thread(target=lambda start=start: [cache.put(key(n), kept(n)) for n in range(start, start + 100)]) for start in range(0, 800, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert cache.get_many(key(number) for number in range(800)) == {key(number): kept(number) for number in range(800)}


def test_a_forked_process_does_not_touch_what_its_parent_opened(file: Path) -> None:
    cache = AnswerCache(file)
    cache.put(key(1), kept(1))
    parents = cache.use(lambda database: database)
    child = os.fork()
    if child == 0:
        is_its_own = cache.use(lambda database: database) is not parents
        cache.put(key(2), kept(2))
        cache.close()
        os._exit(0 if is_its_own and set(cache.get_many([key(1), key(2)])) == {key(1), key(2)} else 1)
    assert os.waitpid(child, 0)[1] == 0
    cache.put(key(3), kept(3))
    assert set(cache.get_many(map(key, range(5)))) == {key(1), key(2), key(3)}


# ---- sizes


def test_sizes_are_counted_by_task_and_model(file: Path) -> None:
    cache = AnswerCache(file)
    assert cache.sizes() == []
    cache.put_many([(key(1), kept(1)), (key(2), kept(2, cost=None)), (key(3), kept(3, task="judge")), (key(4), kept(text="ü", model="other"))])
    assert [tuple(size) for size in cache.sizes()] == [
        ("judge", "any", 1, 400, 100, 10, 0.25, 0, 13),
        ("label", "any", 2, 800, 200, 20, 0.25, 1, 26),
        ("label", "other", 1, 400, 100, 10, 0.25, 0, 2),
    ]


@pytest.mark.parametrize(
    ("named", "left"),
    [({}, set()), ({"task": "judge"}, {1, 2}), ({"model": "any"}, {2}), ({"task": "label", "model": "any"}, {2, 3}), ({"before": 0.0}, {1, 2, 3})],
)
def test_what_is_named_is_forgotten_and_the_rest_kept(file: Path, named: dict[str, str], left: set[int]) -> None:
    cache = AnswerCache(file)
    cache.put_many([(key(1), kept()), (key(2), kept(model="other")), (key(3), kept(task="judge"))])
    assert cache.forget(**named) == 3 - len(left)  # type: ignore[arg-type]
    assert set(cache.get_many(map(key, range(5)))) == set(map(key, left))


def test_old_answers_can_be_forgotten_and_their_room_is_given_back(file: Path) -> None:
    cache = AnswerCache(file)
    cache.put_many((key(number), kept(text="x" * 1_000)) for number in range(1_000))
    cache.close()
    before = file.stat().st_size
    assert cache.forget(before=time.time() + 10) == 1_000
    cache.close()
    assert file.stat().st_size < before / 10


# ---- whose it is


def test_the_file_is_its_owners_alone_and_holds_no_question(file: Path) -> None:
    """Answers quote reports; questions are reports."""
    cache = AnswerCache(file)
    cache.put(key_of("any", {}, MESSAGES, SCHEMA, 0), kept())
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()} == {0o600}
    assert not any(b"heart" in one.read_bytes() for one in file.parent.iterdir())


def test_nothing_is_written_before_it_is_used(file: Path) -> None:
    AnswerCache(file)
    assert not file.parent.exists()


def test_it_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    assert default_file() == tmp_path / "language_models" / "answers.sqlite"


# ---- damage


def garbage(file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(20_000))


def half_of_it(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 + 100])


def words(file: Path) -> None:
    file.write_text("not a database\n" * 100)


def other_columns(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE answers (key, value)")
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {FORMAT}")


def another_program(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE bookmarks (url)")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("harm", [garbage, half_of_it, words, other_columns, another_program, a_folder])
def test_a_damaged_file_is_set_aside_and_work_goes_on(file: Path, harm: Callable[[Path], None], capsys: pytest.CaptureFixture[str]) -> None:
    cache = AnswerCache(file)
    cache.put_many((key(number), kept(number)) for number in range(2_000))
    cache.close()
    harm(file)
    found = cache.get_many(map(key, range(2_000)))
    assert all(answer == kept(number) for number in range(2_000) if (answer := found.get(key(number))))
    cache.put(key(9_999), kept(9_999))
    assert AnswerCache(file).get_many([key(9_999)]) == {key(9_999): kept(9_999)}
    aside = [one for one in file.parent.iterdir() if one.name.startswith("answers.sqlite.damaged-") and not one.name.endswith(("-wal", "-shm"))]
    assert len(aside) == 1
    said = capsys.readouterr().err
    assert f"the cache of answers {file} cannot be used (" in said
    assert f"it was set aside as {aside[0].name} and a new one begun" in said


def test_what_can_still_be_read_of_a_damaged_file_is_taken_over(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was paid for. One page in the middle is overwritten: the answers before and behind it are whole."""
    cache = AnswerCache(file)
    cache.put_many((key(number), kept(number, text="x" * 500)) for number in range(5_000))
    cache.close()
    page = 4096 * (file.stat().st_size // 4096 // 3)
    with file.open("r+b") as damaged:
        damaged.seek(page)
        damaged.write(b"\xff" * 8192)
    found = cache.get_many(map(key, range(5_000)))
    assert 4_900 < len(found) < 5_000
    assert set(found.values()) == {kept(text="x" * 500)}
    assert f"{len(found):,} answers that can still be read were taken over" in capsys.readouterr().err


def test_an_answer_of_which_a_letter_changed_is_not_there(file: Path) -> None:
    """SQLite does not notice; a wrong label would stand in a table."""
    cache = AnswerCache(file)
    cache.put(key(1), kept(text="the heart is large"))
    cache.put(key(2), kept(2))
    cache.close()
    content = file.read_bytes()
    assert content.count(b"the heart is large") == 1
    file.write_bytes(content.replace(b"the heart is large", b"the heart is narrow"[:18]))
    assert set(cache.get_many([key(1), key(2)])) == {key(2)}
    cache.put(key(1), kept(text="the heart is large"))
    assert set(cache.get_many([key(1), key(2)])) == {key(1), key(2)}


def test_a_file_that_is_taken_away_meanwhile_is_begun_anew_and_loses_nothing_more(file: Path) -> None:
    cache = AnswerCache(file)
    cache.put(key(1), kept(1))
    for one in file.parent.iterdir():
        one.unlink()
    cache.put(key(2), kept(2))
    assert set(AnswerCache(file).get_many([key(1), key(2)])) == {key(2)}


def test_a_newer_format_is_refused_and_left_alone(file: Path) -> None:
    cache = AnswerCache(file)
    cache.put(key(1), kept(1))
    cache.use(lambda database: database.execute(f"PRAGMA user_version = {FORMAT + 1}"))
    cache.close()
    with pytest.raises(NewerCache, match=f"has format {FORMAT + 1}, this program writes {FORMAT}.*CLALA_BENCHMARK_CACHE"):
        cache.get_many([key(1)])
    assert not list(file.parent.glob("*.damaged*"))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("in the way")
    with pytest.raises(CannotWrite, match=r"cannot write to .*place.*make room or give the right to write"):
        AnswerCache(tmp_path / "place" / "answers.sqlite").put(key(1), kept())


def test_a_full_disk_is_told_and_what_was_kept_stays(file: Path) -> None:
    """Answers that are lost would be paid for twice."""
    cache = AnswerCache(file)
    cache.put(key(1), kept(1))
    cache.use(lambda database: database.execute("PRAGMA max_page_count = 20"))
    with pytest.raises(CannotWrite, match="database or disk is full; answers that cannot be kept would be paid for twice"):
        cache.put_many((key(number), kept(text="x" * 1_000)) for number in range(2, 1_000))
    assert cache.get_many(map(key, range(1_000))) == {key(1): kept(1)}
    assert not list(file.parent.glob("*.damaged*"))


STORM = """
import sys, hashlib
from pathlib import Path
from benchmark.llm.cache import AnswerCache, Kept
cache, start = AnswerCache(Path(sys.argv[1])), int(sys.argv[2])
for number in range(start, start + int(sys.argv[3])):
    cache.put(hashlib.sha256(str(number).encode()).hexdigest(), Kept(f'{{"answer": {number}}}', "any-2025", 100, 10, 0.25, "label", "any", 400))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


LOOK = """
import sys
from pathlib import Path
from benchmark.llm.cache import AnswerCache
print(len(AnswerCache(Path(sys.argv[1])).get_many(sys.argv[2:])))
"""


def storm(file: Path, start: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", STORM, str(file), str(start), str(count)], stdout=subprocess.PIPE, text=True)


def test_several_processes_put_at_once_into_one_new_file(file: Path) -> None:
    processes = [storm(file, start, 300) for start in range(0, 1_200, 300)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert AnswerCache(file).get_many(map(key, range(1_200))) == {key(number): kept(number) for number in range(1_200)}


def test_several_processes_meet_one_damaged_file_and_set_it_aside_once(file: Path) -> None:
    file.parent.mkdir()
    garbage(file)
    processes = [storm(file, start, 100) for start in range(0, 400, 100)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert AnswerCache(file).get_many(map(key, range(400))) == {key(number): kept(number) for number in range(400)}
    assert len(list(file.parent.glob("*.damaged*"))) == 1


def test_nothing_is_lost_when_another_process_ends_beside_two_users_of_the_file_in_this_one(file: Path) -> None:
    """The locks of a process on a file go when it closes any descriptor of it: who ended next would throw away the log that is still written."""
    first, second = AnswerCache(file), AnswerCache(file)
    first.put(key(1), kept(1))
    second.put(key(2), kept(2))
    subprocess.run([sys.executable, "-c", STORM + "cache.close()", str(file), "3", "1"], check=True, stdout=subprocess.DEVNULL)
    first.put(key(4), kept(4))
    second.put(key(5), kept(5))
    seen = subprocess.run([sys.executable, "-c", LOOK, str(file), *map(key, range(1, 6))], check=True, capture_output=True, text=True).stdout
    assert seen.strip() == "5"


def test_a_process_that_stands_still_at_the_file_is_not_waited_for_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AnswerCache(file).put(key(1), kept(1))
    monkeypatch.setattr("benchmark.llm.cache.PATIENCE_SECONDS", 0.1)
    with file.with_name(f"{file.name}.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CannotWrite, match=r"another process has held it for over .*; wait for it or end it"):
            AnswerCache(file).get_many([key(1)])
    assert AnswerCache(file).get_many([key(1)]) == {key(1): kept(1)}


def test_whatever_put_returned_from_survives_a_kill(file: Path) -> None:
    """Killed in the middle of storms of answers, beside a process that goes on."""
    draw = random.Random(20)
    other = storm(file, 1_000_000, 2_000)
    for turn in range(4):
        victim = storm(file, turn * 100_000, 100_000)
        assert victim.stdout is not None
        lines = [victim.stdout.readline() for _ in range(draw.randrange(1, 400))]
        victim.send_signal(signal.SIGKILL)
        rest = victim.stdout.read()  # and not communicate(), which does not know what readline() has read ahead
        victim.stdout.close()
        victim.wait(timeout=60)
        told = [int(line) for line in "".join([*lines, rest]).split("\n")[:-1]]
        assert AnswerCache(file).get_many(map(key, told)) == {key(number): kept(number) for number in told}
    other.communicate(timeout=120)
    assert len(AnswerCache(file).get_many(key(number) for number in range(1_000_000, 1_002_000))) == 2_000
    assert AnswerCache(file).use(lambda database: database.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
