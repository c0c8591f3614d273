"""Answers that were paid for, kept in one SQLite file: what was answered is never asked again.

Any number of processes and threads may use the file at once, and any of them may be killed at any moment: an answer is kept when ``put`` returns.
Answers quote reports, so the file is its owner's alone; questions are reports, so only their hash is in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmark.places import cache_folder
from benchmark.records import UserError
from benchmark.runs import CannotWrite, writing
from benchmark.screen import say

T = TypeVar("T")

FORMAT = 1
"""of the file; a newer one is refused, anything else that is not this one is set aside"""
APPLICATION = 0x436C6142
"""how SQLite tells our files from those of other programs"""
PATIENCE_SECONDS = 60
"""how long to wait while other processes write"""
FIRST_PAUSE_SECONDS = 0.0002
LONGEST_PAUSE_SECONDS = 0.01
"""between two tries"""
KEYS_PER_LOOK = 500
"""more gains nothing, and old builds of SQLite take no more than 999"""
DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))

TABLES = {
    # The text comes last and as bytes: so SQLite counts tokens and sizes without reading it.
    "answers": """key TEXT PRIMARY KEY, task TEXT NOT NULL, model TEXT NOT NULL, served_by TEXT NOT NULL, prompt_characters INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL, seconds INTEGER NOT NULL, checksum INTEGER NOT NULL,
        text BLOB NOT NULL""",
    # What is under way elsewhere; see benchmark/llm/batch.py.
    "batches": """tag TEXT PRIMARY KEY, endpoint TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, file_id TEXT NOT NULL,
        batch_id TEXT NOT NULL, keys BLOB NOT NULL""",
}
COLUMNS = {name: ", ".join(line.split()[0] for line in columns.split(",")) for name, columns in TABLES.items()}


class NewerCache(UserError):
    """The file was written by a newer version of this program."""


class Kept(NamedTuple):
    """One answer and what it took."""

    text: str
    """as the model wrote it"""
    served_by: str
    """the model as the endpoint named it"""
    prompt_tokens: int
    """as the endpoint counted them; 0 where it did not"""
    completion_tokens: int
    """of the answer, reasoning included"""
    cost: float | None
    """dollars; None where the price is unknown"""
    task: str
    """label | judge | green | aggregate | report"""
    model: str
    """as it was asked for"""
    prompt_characters: int = 0
    """of all messages and the schema together: what an estimate learns from. Images have none"""


class Size(NamedTuple):
    """What is kept of one task and model."""

    task: str
    model: str
    answers: int
    prompt_characters: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    """dollars, of the answers whose price was known"""
    unpriced: int
    """answers whose price was not"""
    bytes: int
    """of the texts"""


def default_file() -> Path:
    """Where answers are kept unless something else is said."""
    return cache_folder() / "language_models" / "answers.sqlite"


def key_of(
    model: str,
    parameters: Mapping[str, object],
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any] | None,
    sample: int,
    images: Sequence[str] = (),
) -> str:
    """Hex digest of everything that decides an answer; of images by their own. A schema is taken for unchanging once it was seen."""
    # 0 and 0.0 are the same temperature: written either way, it must not be paid for twice.
    plain = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in parameters.items()}
    parts = [_schema_text(schema), _encode([model, plain, sample])]
    for message in messages:  # each with its length, so that no text can look like two; as JSON they would take three times as long
        parts += [f"{name}:{len(message[name])}:{message[name]}" for name in sorted(message)]
    parts += [f"image:{digest}" for digest in images]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=dict).encode
_schemas: dict[int, tuple[Mapping[str, Any], str]] = {}
"""id -> schema, which is held so that its id stays its own, and its text: writing it again for every question would take longer than all else"""


def _schema_text(schema: Mapping[str, Any] | None) -> str:
    if schema is None:
        return ""
    known = _schemas.get(id(schema))
    if known is None:
        if len(_schemas) >= 100:
            _schemas.clear()
        known = _schemas[id(schema)] = (schema, _encode(schema))
    return known[1]


class AnswerCache:
    """The answers of one file. It is opened on first use, and made if need be.

    A file that is damaged is set aside with a line on stderr and what can still be read of it is taken over; a single damaged answer counts as
    not there. Raises ``CannotWrite`` where nothing can be kept, and ``NewerCache``.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._process = 0
        self._inherited: list[sqlite3.Connection] = []
        self._lock = threading.RLock()

    def get_many(self, keys: Iterable[str]) -> dict[str, Kept]:
        """key -> answer, of those keys that have one."""
        wanted = list(keys)
        found: dict[str, Kept] = {}
        for start in range(0, len(wanted), KEYS_PER_LOOK):
            some = wanted[start : start + KEYS_PER_LOOK]
            select = f"SELECT {COLUMNS['answers']} FROM answers WHERE key IN ({','.join('?' * len(some))})"
            found.update(filter(None, map(_kept, self.use(lambda database: database.execute(select, some).fetchall()))))  # noqa: B023
        return found

    def put(self, key: str, kept: Kept) -> None:
        """Keep one answer, in place of another if there is one. Once this returns, killing the process does not lose it."""
        self.put_many([(key, kept)])

    def put_many(self, answers: Iterable[tuple[str, Kept]]) -> None:
        """Keep several answers, all or none."""
        rows = [_row(key, kept) for key, kept in answers]
        insert = f"INSERT OR REPLACE INTO answers ({COLUMNS['answers']}) VALUES ({','.join('?' * len(COLUMNS['answers'].split(',')))})"
        if len(rows) == 1:
            self.use(lambda database: database.execute(insert, rows[0]))
        elif rows:
            self.use(lambda database: _together(database, lambda: database.executemany(insert, rows)))

    def sizes(self) -> list[Size]:
        """What is kept, by task and model."""
        return self.use(
            lambda database: [
                Size(*row)
                for row in database.execute(
                    "SELECT task, model, count(*), sum(prompt_characters), sum(prompt_tokens), sum(completion_tokens), total(cost), "
                    "sum(cost IS NULL), sum(length(text)) FROM answers GROUP BY task, model ORDER BY task, model"
                )
            ]
        )

    def forget(self, *, task: str | None = None, model: str | None = None, before: float | None = None) -> int:
        """Throw away the answers of a task, of a model, or from before a time (seconds since 1970); all of them if nothing is named.

        returns  how many there were
        """
        named = [(f"{what} ?", value) for what, value in (("task =", task), ("model =", model), ("seconds <", before)) if value is not None]
        where = " AND ".join(condition for condition, _ in named) or "1"

        def work(database: sqlite3.Connection) -> int:
            count = database.execute(f"DELETE FROM answers WHERE {where}", [value for _, value in named]).rowcount
            with suppress(sqlite3.OperationalError):  # others are using the file: their turn will free the room
                database.execute("VACUUM")
            return count

        return self.use(work)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, which may be called again if the file turns out to be damaged or was taken away meanwhile.

        One process at a time is at the file: SQLite before 3.51.3 may damage it where two write their log back at once
        (https://sqlite.org/wal.html#walresetbug).
        """
        with self._lock, self._alone():
            for _ in range(3):
                with _clear(self.file):
                    try:
                        result = work(self._open())
                    except sqlite3.DatabaseError as error:
                        if not _is_damage(error):
                            raise
                        self._replace(str(error))
                        continue
                    # Another process may have set the file aside, or someone deleted it: what was written into it would be lost.
                    if _identity(self.file) == self._identity:
                        return result
                    self.close()
            raise CannotWrite(f"cannot keep answers in {self.file}: the file is damaged or taken away again and again; look at what else uses it")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():  # a fork: SQLite forbids to use or to close what the parent opened
            self._inherited.append(self._connection)
            self._connection = None
        if self._connection is None:
            if self.file.is_dir():
                self._set_aside("it is a folder")
            self._begin()
            self._identity, self._process = _identity(self.file), os.getpid()
            self._connection = _connect(self.file)
        return self._connection

    def _begin(self) -> None:
        """Make the file if there is none, with the rights that SQLite gives its side files too.

        One that is there is not touched: to close it again would take away the locks of this process' other connections to it, and the next process
        to end would throw away the log that they still write.
        """
        with writing(self.file), suppress(FileExistsError):
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _replace(self, reason: str) -> None:
        """Set the file aside, unless another process was quicker, and begin a new one with what can still be read of the old."""
        self.close()
        if _identity(self.file) == self._identity:
            aside = self._set_aside(reason)
            self._begin()
            with closing(_connect(self.file)) as database:
                _take_over(aside, database)
                count = database.execute("SELECT count(*) FROM answers").fetchone()[0]
            say(f"{count:,} answers that can still be read were taken over from {aside.name}", err=True)

    def _set_aside(self, reason: str) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (self.file.with_name(f"{self.file.name}.damaged-{stamp}{again}") for again in ("", *(f"-{number}" for number in range(1, 100))))
        aside = next(name for name in names if not name.exists())
        with writing(self.file):
            self.file.rename(aside)
            for end in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.file.with_name(self.file.name + end).rename(aside.with_name(aside.name + end))
        say(f"the cache of answers {self.file} cannot be used ({reason}); it was set aside as {aside.name} and a new one begun", err=True)
        return aside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The only process at the file. The lock is the kernel's: it goes with the process, however that ends. Raises ``CannotWrite``."""
        with writing(self.file):
            descriptor = self._open_lock()
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        """Its descriptor; the folder is made when it is missed, not looked for at every answer."""
        lock = f"{self.file}.lock"
        try:
            return os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            self.file.parent.parent.mkdir(parents=True, exist_ok=True)
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            return os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)

    def _wait_for(self, lock: int) -> None:
        """Hold the lock. A process that was stopped at the file holds it for ever, so there is an end to patience."""
        ends, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > ends:
                    raise _held(self.file) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _held(file: Path) -> CannotWrite:
    return CannotWrite(
        f"cannot write to {file}: another process has held it for over {PATIENCE_SECONDS} s; wait for it or end it, then run the same command again"
    )


class _Unlike(sqlite3.DatabaseError):
    """A database, but not of this format."""


def _connect(file: Path) -> sqlite3.Connection:
    """The file, with its tables; to be called by one process at a time. Raises ``NewerCache``, ``sqlite3.DatabaseError``."""
    database = sqlite3.connect(file, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        application, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if application == APPLICATION and version > FORMAT:
            raise NewerCache(
                f"the cache of answers {file} has format {version}, this program writes {FORMAT}: a newer version of it was used here; "
                "use that one, or set CLALA_BENCHMARK_CACHE to another folder"
            )
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and (application, version) != (APPLICATION, FORMAT):
            raise _Unlike(f"its format is {version} of program {application:#x}, not {FORMAT} of {APPLICATION:#x}")
        database.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a power cut may take the last answers, never the file.
        database.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            _together(database, lambda: _make(database))
        for table in TABLES:
            database.execute(f"SELECT {COLUMNS[table]} FROM {table} LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _make(database: sqlite3.Connection) -> None:
    for table, columns in TABLES.items():
        database.execute(f"CREATE TABLE {table} ({columns})")
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {FORMAT}")


def _together(database: sqlite3.Connection, work: Callable[[], object]) -> None:
    """All that ``work`` writes, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        work()
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _take_over(aside: Path, database: sqlite3.Connection) -> None:
    """Copy the rows that can be read."""
    for table, columns in COLUMNS.items():
        insert = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({','.join('?' * len(columns.split(',')))})"
        rows = (row for row in _readable(aside, table) if table != "answers" or _kept(row))
        _together(database, lambda: database.executemany(insert, rows))  # noqa: B023 - called at once


def _readable(aside: Path, table: str) -> Iterator[tuple[Any, ...]]:
    """Rows from the front up to the damage, then from the end down to it; all of them twice where there is none on the way."""
    for direction in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(aside)) as old:
            yield from old.execute(f"SELECT {COLUMNS[table]} FROM {table} ORDER BY rowid {direction}")


def _row(key: str, kept: Kept) -> tuple[object, ...]:
    text = kept.text.encode("utf-8", "surrogatepass")  # JSON may carry half a character
    served_by = kept.served_by.encode("utf-8", "replace").decode()
    tokens = (kept.prompt_characters, kept.prompt_tokens, kept.completion_tokens)
    return (key, kept.task, kept.model, served_by, *tokens, kept.cost, int(time.time()), zlib.crc32(text, zlib.crc32(key.encode())), text)


def _kept(row: tuple[Any, ...]) -> tuple[str, Kept] | None:
    """Key and answer, or None if the bytes are not those that were written: SQLite itself does not notice a changed letter."""
    key, task, model, served_by, characters, prompt_tokens, completion_tokens, cost, _, checksum, text = row
    try:
        if zlib.crc32(text, zlib.crc32(key.encode())) != checksum:
            return None
        return key, Kept(text.decode("utf-8", "surrogatepass"), served_by, prompt_tokens, completion_tokens, cost, task, model, characters)
    except (TypeError, AttributeError, ValueError):
        return None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - after every single answer
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # The lower byte is the kind, the upper ones say more. A table or column that is missing has no code of its own.
    return isinstance(error, _Unlike) or getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED or "no such" in str(error)


@contextmanager
def _clear(file: Path) -> Iterator[None]:
    """Turn SQLite's refusal into one clear line. Raises ``CannotWrite``."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise _held(file) from error
        raise CannotWrite(
            f"cannot write to {file}: {error}; answers that cannot be kept would be paid for twice, so none is asked for: "
            "make room or give the right to write, then run the same command again"
        ) from error
