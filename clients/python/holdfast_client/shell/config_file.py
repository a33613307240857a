"""Changes the configuration file: one setting at a time, comments and order kept, whole or not at all.

The only module that imports tomlkit. What it makes is read again by the interpreter's own parser before it
replaces anything: the one setting has changed and nothing else, or the file stays as it was.
"""

import copy
import fcntl
import os
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from holdfast_client.shell.exit_codes import CommandFailed, UsageError
from holdfast_client.shell.settings import read_file
from holdfast_protocol.settings.key import Key, toml_value
from holdfast_protocol.settings.resolve import BadSettings, File, Problem, resolve

_ABSENT: Final = object()


def change(path: str, name: str, key: Key | None, value: object) -> tuple[Problem, ...]:
    """Set or remove one setting.

    Args:
        path: the file; it and its directory are made if need be.
        name: the setting's.
        key: the setting; None removes it.
        value: as `Key` has it.

    Returns:
        What is wrong with other settings of the file, and was before.

    Raises:
        UsageError: it does not fit the other settings, or there is nothing to remove.
        CommandFailed: the file cannot be read, changed or written.
    """
    with _locked(os.path.realpath(path)) as real:
        try:
            file = read_file(real) or File(path, "")
        except BadSettings as error:
            raise CommandFailed(str(error), kind="bad_settings") from None
        text = _edited(file, tuple(name.split(".")), _ABSENT if key is None else toml_value(key, value))
        left = _check(file, File(path, text))
        _replace(real, text)
        return left


def _edited(file: File, path: tuple[str, ...], value: object) -> str:
    """Give the text with one value in its place, or without it."""
    old = _values(file)
    wanted = copy.deepcopy(old)
    _put(wanted, path, value)
    if wanted == old and value is _ABSENT:
        raise UsageError(f"{'.'.join(path)} is not set in {file.path}")
    text = _with_tomlkit(file, lambda document: _put(document, path, value))
    if _parsed(text) != wanted:
        raise CommandFailed(f"cannot change {file.path} without changing more; edit it by hand")
    return text


def _put(document: Any, path: tuple[str, ...], value: object) -> None:
    """Change a tree of tables, of dicts or of tomlkit's, in place."""
    *sections, bare = path
    for section in sections:
        if section not in document:
            if value is _ABSENT:
                return
            document[section] = {}
        inner: Any = document[section]
        if not isinstance(inner, dict):
            raise UsageError(f"{section} is no section in the file")
        document = cast("Any", inner)
    if value is not _ABSENT:
        document[bare] = value
    elif bare in document:
        del document[bare]


def _with_tomlkit(file: File, edit: Callable[[Any], None]) -> str:
    try:
        import tomlkit  # noqa: PLC0415 - needed for writing alone
        import tomlkit.exceptions  # noqa: PLC0415 - as above
    except ImportError:
        message = "changing the file needs tomlkit: install holdfast-client[config], or edit it by hand"
        raise CommandFailed(message, kind="not_installed") from None
    try:
        document = tomlkit.parse(file.text)
        edit(document)
        return tomlkit.dumps(document)
    except (tomlkit.exceptions.TOMLKitError, ValueError, RecursionError) as error:
        raise CommandFailed(f"cannot change {file.path}: {error}; edit it by hand") from None


def _values(file: File) -> dict[str, Any]:
    from holdfast_protocol.settings import document  # noqa: PLC0415 - beside its one use

    try:
        return document.parse(file.text)
    except document.NotTOML as error:
        raise CommandFailed(f"{file.path}:{error.line}: {error.message}", kind="bad_settings") from None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _check(old: File, new: File) -> tuple[Problem, ...]:
    """Give the problems that stay.

    Raises:
        UsageError: there is one that was not there before.
    """
    before = {(problem.key, problem.message) for problem in _problems(old)}
    after = _problems(new)
    for problem in after:
        if (problem.key, problem.message) not in before:
            raise UsageError(problem.message)
    return after


def _problems(file: File) -> tuple[Problem, ...]:
    try:
        resolve(file, {})
    except BadSettings as error:
        return error.problems
    return ()


@contextmanager
def _locked(path: str) -> Generator[str]:
    """Hold the file's directory, so that two changes at once are both made."""
    directory = os.path.dirname(path)  # noqa: PTH120 - paths are strings here
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandFailed(f"cannot use {directory}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # Held for milliseconds, by this command only.
        yield path
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: str, text: str) -> None:
    """Put a file in another's place; after a crash one of the two is there, whole."""
    temporary = f"{path}.{os.urandom(6).hex()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - as above
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            raise
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror}") from None
