"""A user's home with a configuration file, and the programs run in it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from holdfast_protocol import discovery

WAIT_S = 60.0


class ConfigHome:
    """Everything below one directory; nothing of the user who runs the tests is seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "LANG": "C.UTF-8",
            "HOLDFAST_HOME": str(path),
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
        }
        self.locations = discovery.locations(self.environ, str(path))

    @property
    def file(self) -> Path:
        return Path(self.locations.file)

    def write(self, text: str) -> Path:
        """Write the configuration file."""
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")
        self.file.chmod(0o600)
        return self.file

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        return self._run("holdfast", arguments, env)

    def daemon(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the daemon to its end, which has to come by itself."""
        return self._run("holdfastd", arguments, env)

    def _run(
        self, program: str, arguments: tuple[str, ...], env: dict[str, str] | None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            cwd=self.path,
            env={**self.environ, **(env or {})},
        )

    def run_python(self, script: str, **names: Any) -> str:
        """Run a script in a fresh interpreter and give what it prints."""
        ran = subprocess.run(
            [sys.executable, "-c", script.format(**names)],
            check=True,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            env=self.environ,
        )
        return ran.stdout
