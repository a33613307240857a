"""Finds the program a declaration names. Looks at the disk, and starts nothing."""

import os
import shutil
from collections.abc import Mapping
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
