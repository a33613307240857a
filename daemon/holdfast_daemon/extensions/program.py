"""Finds the program a declaration names, and says what it runs. Looks at the disk, and starts nothing."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path


def program_path(command: str, env: Mapping[str, str], folder: str | None) -> str:
    """Give a program's path, absolute.

    Args:
        command: absolute; a path below the plugin's folder that begins with `./`; or a name on the PATH.
        env: the session's; of its PATH only absolute directories count.
        folder: the plugin's, or None.

    Raises:
        FileNotFoundError: there is none that can be run; the message is a sentence.
    """
    if Path(command).is_absolute():
        found = shutil.which(command)
    elif command.startswith("./") and folder is not None:
        path = Path(folder, command).resolve()
        found = shutil.which(str(path)) if path.is_relative_to(Path(folder).resolve()) else None
    elif "/" in command:
        raise FileNotFoundError(f"`{command[:256]}` is no absolute path, and none that begins with `./`")
    else:
        places = [place for place in env.get("PATH", "").split(os.pathsep) if Path(place).is_absolute()]
        found = shutil.which(command, path=os.pathsep.join(places)) if places else None
    if found is None:
        raise FileNotFoundError(f"there is no program `{command[:256]}`")
    return found


def source_of(scope: str, folder: str | None, *runs: str | Sequence[str]) -> str:
    """Give in one way what a call of a tool would run, so that an answer for one is none for another.

    Args:
        scope: whose it is, as `user`, `project`, `client`.
        folder: the plugin's, absolute; None: no plugin's.
        runs: a program and its arguments, an address, or a function. No secrets: no environment, no headers.
    """
    return json.dumps([scope, folder, *runs])  # Takes names of files that are no UTF-8, too.
