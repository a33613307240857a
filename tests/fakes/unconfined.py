"""A user whose commands nothing confines, whatever this machine has installed."""

from pathlib import Path

FLAGS = ("--set", "sandbox.mode=off")
"""The same for one start of the daemon."""


def without_sandbox(home: Path) -> None:
    """Write the configuration file of a user whose `HOLDFAST_HOME` is `home`."""
    config = home / "config"
    config.mkdir(mode=0o700, exist_ok=True)
    path = config / "config.toml"
    path.write_text('[sandbox]\nmode = "off"\n', encoding="utf-8")
    path.chmod(0o600)
