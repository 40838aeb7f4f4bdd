"""The files that are written for a user: whole or not there at all, and never over an input.

Everything that a command or ``Program.save`` writes goes through ``appearing``.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wsc.errors import CompileError

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

_under_way: set[Path] = set()


def files_under_way() -> bool:
    """Whether files are being written that have not taken their names yet."""
    return bool(_under_way)


def require_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a path that must not, or cannot, be written; nothing is changed.

    inputs: files that are read. However its path is spelled, an output is none of them.

    Raises:
        CompileError: the folder is missing or not writable, the name cannot be one of a file,
            or something else than a regular file, an input, or a file that is read-only
            has it.
    """
    try:
        _require_folder(path)
        found = path.lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # a name that is too long, or holds NUL
        raise CompileError(f"{str(path)!r}: cannot be written ({_reason(error)})") from error
    if stat.S_ISDIR(found.st_mode):
        raise CompileError(f"{path}: is a folder, not a file to write")
    if stat.S_ISLNK(found.st_mode):
        raise CompileError(f"{path}: is a symbolic link, and not replaced: name a regular file")
    if not stat.S_ISREG(found.st_mode):
        raise CompileError(f"{path}: is not a regular file, and not replaced")
    for item in inputs:
        if _is(found, item):
            raise CompileError(f"{path}: is the input {item}, and not replaced: name another file")
    # The folder would let it be replaced, and so would being root: its owner does not want that.
    if not found.st_mode & _WRITABLE or not os.access(path, os.W_OK):
        raise CompileError(f"{path}: is read-only, and not replaced: name another file")


def require_apart(outputs: Sequence[Path], inputs: Iterable[Path] = ()) -> None:
    """``require_writable`` for all outputs of a command, which must differ from each other.

    Raises:
        CompileError: one of them must not be written, or two are one file.
    """
    read = tuple(inputs)
    taken: set[str] = set()
    for path in outputs:
        require_writable(path, read)
        real = os.path.normcase(os.path.realpath(path))
        if real in taken:
            raise CompileError(f"{path}: two outputs would be written there; name another file")
        taken.add(real)


@contextmanager
def appearing(*paths: Path, inputs: Iterable[Path] = ()) -> Generator[tuple[Path, ...]]:
    """A temporary path for each path; all take their names at the end, if all went well.

    The files have the mode that the umask gives a new file. An error, or an interrupt, leaves
    the files that were there before, and no others. Processes that write into one folder take
    turns, so that files written together stay together. Only the end of the process in the
    moment between two renamings can part them.

    inputs: files that are read, and never replaced.

    Raises:
        CompileError: see ``require_apart``.
        OSError: the folder cannot be written to.
    """
    read = tuple(inputs)
    require_apart(paths, read)
    # The temporary names are short: what has a name of full length can be written, too.
    partials = tuple(path.with_name(f".{secrets.token_hex(8)}.part") for path in paths)
    _under_way.update(partials)
    try:
        for partial in partials:
            partial.touch(mode=0o666, exist_ok=False)
        modes = [stat.S_IMODE(partial.stat().st_mode) for partial in partials]
        yield partials
        for partial, mode in zip(partials, modes, strict=True):
            partial.chmod(mode)  # a library may have put a file of its own in this place
        with _alone(paths):
            require_apart(paths, read)  # the work may have taken hours
            _rename(partials, paths)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)
        _under_way.difference_update(partials)


def write_text(path: Path, text: str, inputs: Iterable[Path] = ()) -> None:
    """Write a text in UTF-8.

    Raises:
        CompileError: see ``require_writable``; or the folder cannot be written to.
    """
    try:
        with appearing(path, inputs=inputs) as (partial,):
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CompileError(f"{path}: cannot be written ({_reason(error)})") from error


def _require_folder(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CompileError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CompileError(f"{path}: the folder {folder} is not writable")


def _is(found: os.stat_result, item: Path) -> bool:
    """Whether a path leads to the file found: links and other spellings included."""
    try:
        return os.path.samestat(found, item.stat())
    except (OSError, ValueError):
        return False  # an input that is not there is refused by whoever reads it


def _reason(error: OSError | ValueError) -> str:
    return str((isinstance(error, OSError) and error.strerror) or error)


def _rename(partials: Sequence[Path], paths: Sequence[Path]) -> None:
    """Give every file its name; what one failure leaves undone is undone for all."""
    before: dict[Path, Path] = {}
    try:
        # A single file needs no way back: its renaming happens or does not.
        for path in paths if len(paths) > 1 else ():
            if path.exists():
                kept = path.with_name(f".{secrets.token_hex(8)}.part")
                before[path] = kept
                _keep(path, kept)
        for partial, path in zip(partials, paths, strict=True):
            partial.replace(path)
    except BaseException:
        for partial, path in zip(partials, paths, strict=True):
            if partial.exists():
                continue  # it was not renamed
            if path in before:
                before[path].replace(path)
            else:
                path.unlink(missing_ok=True)
        raise
    finally:
        for kept in before.values():
            kept.unlink(missing_ok=True)


def _keep(path: Path, kept: Path) -> None:
    """A second name for a file; a copy where the file system has no second names."""
    try:
        os.link(path, kept)
    except OSError:
        import shutil

        shutil.copy2(path, kept)


@contextmanager
def _alone(paths: Sequence[Path]) -> Generator[None]:
    """Keep other writers out of the folders; the system frees the lock of the dead.

    Where there are no such locks, the digests of files that belong together tell them apart.
    """
    with ExitStack() as stack:
        # One spelling of each: a process that locks a folder twice waits for itself.
        for folder in sorted({path.parent.resolve() for path in paths}):
            with suppress(ImportError, OSError):
                import fcntl

                opened = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
        yield
