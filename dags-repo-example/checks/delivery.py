"""What is wrong with a commit that would stop the DAGs of every repository.

The DAG relay publishes no commit with such a mistake, and `make check` of the DAG repository reports
the same ones: the platform and the DAG repository have equal copies of this file. It needs Git and
the standard library only.
"""

import os
import re
import stat
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 2**20
# Airflow stores the path of a file in 1024 characters (table import_error).
MAX_PATH_BYTES = 1000
# A link to a link: the limit of Linux.
MAX_LINKS = 40
IGNORE_FILE = ".airflowignore"
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
MAX_POINTER_BYTES = 1024
POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?size (\d+)\n")
LINK, SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Limits:
    """Settings of `dags`."""

    sub_path: str
    max_mb: int
    max_file_mb: int
    max_files: int


@dataclass(frozen=True, order=True)
class Finding:
    """A mistake. `path` is empty if it concerns the whole commit."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass(frozen=True)
class Entry:
    """A file or link. `content` is that of links and ignore files only."""

    path: str
    size: int
    is_link: bool = False
    content: bytes = b""


class LinkError(Exception):
    """A link that no pod can follow, with the reason."""


def check(entries: list[Entry], limits: Limits) -> list[Finding]:
    """All mistakes, sorted."""
    return sorted(
        [
            *_sizes(entries, limits),
            *_names(entries),
            *_links(entries, limits.sub_path),
            *_ignore_files(entries),
        ]
    )


def _sizes(entries: list[Entry], limits: Limits) -> Iterator[Finding]:
    total = sum(entry.size for entry in entries)
    if total > limits.max_mb * MEBIBYTE:
        largest = sorted(entries, key=lambda entry: -entry.size)[:3]
        names = ", ".join(f"{entry.path} ({_mb(entry.size)} MiB)" for entry in largest)
        text = (
            f"its files are {_mb(total)} MiB together, and dags.max_mb is {limits.max_mb}; "
            f"the largest are {names}"
        )
        yield Finding("", text)
    if len(entries) > limits.max_files:
        text = f"it has {len(entries)} files, and dags.max_files is {limits.max_files}"
        yield Finding("", text)
    for entry in entries:
        if entry.size > limits.max_file_mb * MEBIBYTE:
            text = (
                f"the file has {_mb(entry.size)} MiB, and dags.max_file_mb is {limits.max_file_mb}: "
                "every worker copies it; keep data in an object store"
            )
            yield Finding(entry.path, text)


def _mb(size: int) -> int:
    return -(-size // MEBIBYTE)


def _names(entries: list[Entry]) -> Iterator[Finding]:
    for path in (entry.path for entry in entries):
        name = os.fsencode(path)
        shown = name.decode("utf-8", "backslashreplace")
        if shown != path:
            text = "the name is not UTF-8, and Airflow cannot store it; rename the file"
            yield Finding(shown, text)
        if len(name) > MAX_PATH_BYTES:
            text = (
                f"the path has {len(name)} bytes, and Airflow stores {MAX_PATH_BYTES}; shorten it"
            )
            yield Finding(shown, text)


class _Tree:
    """The folders and links of a commit."""

    def __init__(self, entries: list[Entry]) -> None:
        self.links = {e.path: os.fsdecode(e.content) for e in entries if e.is_link}
        folders = {""}
        for entry in entries:
            folder = entry.path.rpartition("/")[0]
            while folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        self._folders = folders
        self._sorted_folders = sorted(folders)
        self._sorted_links = sorted(self.links)

    def resolve(self, path: str) -> str:
        """The path without links, as the operating system finds it; it may not exist."""
        found: list[str] = []
        left = path.split("/")[::-1]
        links = 0
        while left:
            part = left.pop()
            if part == "..":
                if not found:
                    raise LinkError("leads out of the repository, where the pods have other files")
                found.pop()
            elif part not in ("", "."):
                found.append(part)
            target = self.links.get("/".join(found)) if found else None
            if target is None:
                continue
            links += 1
            if links > MAX_LINKS:
                raise LinkError("leads back to itself")
            if target.startswith("/"):
                raise LinkError("leads out of the repository, where the pods have other files")
            found.pop()
            left += target.split("/")[::-1]
        return "/".join(found)

    def folders_in(self, folder: str) -> list[str]:
        """The folder and those in it; none if it is not a folder."""
        if folder not in self._folders:
            return []
        return [folder, *_below(self._sorted_folders, folder)]

    def links_in(self, folder: str) -> list[str]:
        return _below(self._sorted_links, folder)


def _below(paths: list[str], folder: str) -> list[str]:
    """Of sorted paths, those in a folder."""
    if not folder:
        return [path for path in paths if path]
    # `0` follows `/`.
    return paths[bisect_left(paths, f"{folder}/") : bisect_left(paths, f"{folder}0")]


def _links(entries: list[Entry], sub_path: str) -> Iterator[Finding]:
    """Airflow follows links, and its DAG processor ends if it finds a folder twice.

    airflow/_shared/module_loading/file_discovery.py; it does so for every bundle.
    """
    tree = _Tree(entries)
    if not tree.links:
        return
    broken: set[str] = set()
    for path, target in sorted(tree.links.items()):
        try:
            tree.resolve(path)
        except LinkError as error:
            broken.add(path)
            yield Finding(path, f"the link to {target} {error}; replace it with a copy")
    try:
        start = tree.resolve(sub_path)
    except LinkError:
        return
    seen = set(tree.folders_in(start))
    followed = tree.links_in(start)
    while followed:
        path = followed.pop(0)
        reached = [] if path in broken else tree.folders_in(tree.resolve(path))
        twice = next((folder for folder in reached if folder in seen), None)
        if twice is None:
            seen.update(reached)
            followed += tree.links_in(reached[0]) if reached else []
            continue
        text = (
            f"the link to {tree.links[path]} leads Airflow to the folder {twice or '.'} a second "
            "time, and its DAG processor ends at that; replace it with a copy"
        )
        yield Finding(path, text)


def _ignore_files(entries: list[Entry]) -> Iterator[Finding]:
    """Airflow's DAG processor ends at a pattern that it cannot read."""
    for entry in entries:
        if not _is_ignore_file(entry.path) or entry.is_link:
            continue
        try:
            lines = entry.content.decode().split("\n")
        except UnicodeDecodeError:
            text = (
                "the file is not UTF-8, and Airflow's DAG processor ends at that; save it as UTF-8"
            )
            yield Finding(entry.path, text)
            continue
        for number, line in enumerate(lines, 1):
            pattern = re.sub(r"\s*#.*", "", line)  # as Airflow does
            if not _is_pattern(pattern):
                text = (
                    f"line {number} is not a pattern (found {pattern!r}), and Airflow's DAG processor "
                    "ends at that; correct it"
                )
                yield Finding(entry.path, text)


def _is_pattern(pattern: str) -> bool:
    """Whether the library pathspec, which Airflow uses, reads the pattern."""
    stripped = pattern.strip()
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    if stripped == "!" or backslashes % 2:
        return False
    try:
        for characters in re.findall(r"\[[^\]]+\]", pattern):
            re.compile(characters.replace("[!", "[^", 1))
    except re.error:
        return False
    return True


def committed(folder: Path, lfs: bool = False) -> list[Entry]:
    """The files that the commit of a checkout delivers, with those of its submodules.

    With `lfs`, a pointer of Git LFS has the size of its file.
    """
    files: list[tuple[str, str, str, int]] = []
    entries: list[Entry] = []
    for record in _git(folder, "ls-tree", "-r", "-l", "-z", "--full-tree", "HEAD").split(b"\0")[
        :-1
    ]:
        about, _, name = record.partition(b"\t")
        mode, _, digest, size = about.decode().split()
        path = os.fsdecode(name)
        if mode == SUBMODULE:
            entries += _inside(folder, path, committed, lfs)
        else:
            files.append((path, mode, digest, int(size)))
    wanted = [
        digest
        for path, mode, digest, size in files
        if mode == LINK or _is_ignore_file(path) or (lfs and size <= MAX_POINTER_BYTES)
    ]
    contents = dict(zip(wanted, _blobs(folder, wanted), strict=True))
    for path, mode, digest, size in files:
        content = contents.get(digest, b"")
        pointer = POINTER.match(content) if lfs and mode != LINK else None
        real = int(pointer[1]) if pointer else size
        entries.append(Entry(path, real, mode == LINK, content))
    return entries


def working_tree(folder: Path, lfs: bool = False) -> list[Entry]:
    """The files that a commit of everything in a working tree would deliver."""
    listed = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = sorted(set(listed.split(b"\0")[:-1]))
    attributes = _git(folder, "check-attr", "-z", "--stdin", "filter", given=b"\0".join(names))
    fields = attributes.split(b"\0")
    in_lfs = {
        name for name, value in zip(fields[::3], fields[2::3], strict=False) if value == b"lfs"
    }
    entries: list[Entry] = []
    for name in names:
        path = os.fsdecode(name)
        file = folder / path
        try:
            found = file.lstat()
        except (FileNotFoundError, NotADirectoryError):  # deleted, and not committed yet
            continue
        if stat.S_ISDIR(found.st_mode):
            entries += _inside(folder, path, working_tree, lfs)
        elif stat.S_ISLNK(found.st_mode):
            target = os.readlink(file)  # noqa: PTH115 - Path.readlink drops a trailing slash
            entries.append(Entry(path, found.st_size, True, os.fsencode(target)))
        else:
            content = b""
            if _is_ignore_file(path) or (name in in_lfs and found.st_size <= MAX_POINTER_BYTES):
                content = file.read_bytes()
            size = found.st_size
            if name in in_lfs:
                pointer = POINTER.match(content)
                size = (int(pointer[1]) if pointer else size) if lfs else 0
            entries.append(Entry(path, size, False, content))
    return entries


def _inside(
    folder: Path, path: str, read: Callable[[Path, bool], list[Entry]], lfs: bool
) -> Iterator[Entry]:
    """The entries of a submodule that is checked out."""
    if not (folder / path / ".git").exists():
        return
    for entry in read(folder / path, lfs):
        yield Entry(f"{path}/{entry.path}", entry.size, entry.is_link, entry.content)


def _git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def _blobs(folder: Path, digests: list[str]) -> Iterator[bytes]:
    answer = _git(folder, "cat-file", "--batch", given="".join(f"{d}\n" for d in digests).encode())
    start = 0
    for _ in digests:
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])
        yield answer[end + 1 : end + 1 + size]
        start = end + size + 2


def _is_ignore_file(path: str) -> bool:
    return path.rpartition("/")[2] == IGNORE_FILE
