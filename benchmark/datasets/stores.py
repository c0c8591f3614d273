"""Small files by the thousand, in folders or in zip archives that are read in place."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import Path

from benchmark.records import UserError

DIRECTORY_AT_END = 64 * 2**20
"""bytes at the end of a zip that hold its directory, with size and checksum of every member (25 MB for 240,000 scene graphs)"""
BIGGEST_MEMBER = 256 * 2**20
"""bytes of a member; never more than the directory says are unpacked"""
UNREADABLE = (zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""what a damaged zip makes zipfile raise: a version, a compression or a place in the file that there is not, a password"""


class BadArchive(UserError):
    """A zip archive that cannot be opened."""


class UnreadableMember(Exception):
    """One file of a store that is there and cannot be read; where the store lies is not in its words, which are kept and hold for a copy too."""


class Store:
    """Files by their path below any of several places, the first that has the file.

    A place is a folder, or a zip archive in which the file may lie in any folder (its name alone must be unique). Folders come first: an archive
    beside a folder that was unpacked by half fills the gaps.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self.folders = [place for place in places if place.is_dir()]
        self.archives = [place for place in places if not place.is_dir()]
        self._open: dict[Path, tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]] = {}

    def has(self, relative: str) -> bool:
        """Whether the file is anywhere."""
        return self.size(relative) is not None

    def size(self, relative: str) -> int | None:
        """Bytes of the file, None if it is nowhere."""
        for folder in self.folders:
            try:
                return os.stat(f"{folder}/{relative}").st_size  # noqa: PTH116 - called for every file of a split; making a Path costs more than the call
            except OSError:
                continue
        for archive in self.archives:
            if member := self._members(archive)[1].get(_name(relative)):
                return member.file_size
        return None

    def read(self, relative: str) -> bytes | None:
        """The content of the file, None if it is nowhere. Raises UnreadableMember."""
        for folder in self.folders:
            try:
                return (folder / relative).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise UnreadableMember(f"{relative}: {error.strerror or error}") from error
        for archive in self.archives:
            opened, members = self._members(archive)
            if member := members.get(_name(relative)):
                if member.file_size > BIGGEST_MEMBER:
                    raise UnreadableMember(f"{archive.name}: {relative}: {member.file_size:,} bytes, more than a report or a scene graph has")
                try:
                    return opened.read(member)
                except UNREADABLE as error:
                    raise UnreadableMember(f"{archive.name}: {relative}: {error}") from error
        return None

    def archive_stamp(self) -> str:
        """Hex digest that changes when a member of any archive does: of the archives' sizes and of their ends, where the checksums lie."""
        digest = hashlib.sha256()
        for archive in self.archives:
            try:
                size = archive.stat().st_size
                digest.update(f"{archive.name} {size}\n".encode())
                with archive.open("rb") as file:
                    file.seek(max(0, size - DIRECTORY_AT_END))
                    digest.update(file.read())
            except OSError as error:
                raise BadArchive(f"{archive}: the archive cannot be read ({error.strerror or error}); check its permissions, and the disk") from error
        return digest.hexdigest()

    def _members(self, archive: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        if archive not in self._open:
            try:
                opened = zipfile.ZipFile(archive)
            except UNREADABLE as error:
                raise BadArchive(f"{archive}: cannot be opened as a zip archive ({error}); it may be half a download: fetch it again") from error
            self._open[archive] = opened, {name: member for member in opened.infolist() if (name := _name(member.filename))}  # folders have none
        return self._open[archive]


def _name(relative: str) -> str:
    return relative.rsplit("/", 1)[-1]
