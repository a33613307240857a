"""The settings as this command sees them: file, then environment. Imports nothing slow where there are none.

What the daemon has may differ: it was started earlier, or with flags.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from holdfast_client.shell.exit_codes import CommandFailed

if TYPE_CHECKING:
    from holdfast_protocol.settings.resolve import File, Setting

_VARIABLES: Final = ("HOLDFAST_MODEL", "HOLDFAST_MODE", "HOLDFAST_FORMAT", "HOLDFAST_COLOR")
"""Those of section [command]; a test compares them with the settings."""


def preferences(path: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Give what the user has set of section [command], by bare names: `model`, `mode`, `format`, `color`.

    Args:
        path: the configuration file; it need not exist.
        environ: the environment.

    Raises:
        CommandFailed: file or environment say something that cannot be.
    """
    if not any(environ.get(name) for name in _VARIABLES) and not os.path.exists(path):  # noqa: PTH110 - pathlib is slow
        return {}
    return {
        setting.key.bare: setting.value
        for setting in load(path, environ).values()
        if setting.key.is_of_command and setting.origin.layer != "default"
    }


def load(path: str, environ: Mapping[str, str]) -> "dict[str, Setting]":
    """Give all settings, by name.

    Raises:
        CommandFailed: as `preferences`.
    """
    from holdfast_protocol.settings.resolve import BadSettings, resolve  # noqa: PLC0415 - few commands need it

    try:
        return resolve(read_file(path), environ)
    except BadSettings as error:
        raise CommandFailed(str(error), kind="bad_settings") from None


def read_file(path: str) -> "File | None":
    """Read the configuration file; None if there is none.

    Raises:
        BadSettings: it may not be used, or is not text.
        CommandFailed: it cannot be read.
    """
    from holdfast_protocol.settings.trusted import FILE_BYTES_MAX, trusted  # noqa: PLC0415 - as above

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # A FIFO must not hold us up.
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        content = b""
        while chunk := _read(descriptor, path, FILE_BYTES_MAX + 1 - len(content)):
            content += chunk
    finally:
        os.close(descriptor)
    return trusted(path, content, status.st_mode, status.st_uid, os.getuid())


def _read(descriptor: int, path: str, bytes_max: int) -> bytes:
    try:
        return os.read(descriptor, bytes_max)
    except IsADirectoryError:
        return b""  # `trusted` says so.
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None
