"""Where the demo happens: a temporary directory with a holdfast home of its own and the sample project."""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from holdfast_client.demo import sample_project
from holdfast_client.shell import surroundings
from holdfast_protocol import discovery


class Place(NamedTuple):
    """A directory of the demo's own; nothing outside of it is touched.

    Attributes:
        path: the directory; its path is short, because the kernel takes no long one for a socket.
    """

    path: Path

    @property
    def home(self) -> Path:
        """HOLDFAST_HOME of all that the demo starts."""
        return self.path / "home"

    @property
    def sample(self) -> Path:
        """The project the sessions work in."""
        return self.path / "sample"

    @property
    def notebook(self) -> Path:
        """What client 1 writes down."""
        return self.path / "client-1.jsonl"

    @property
    def locations(self) -> discovery.Locations:
        """The directories of the demo's daemon."""
        return discovery.locations(self.environ, str(self.home), sys.platform)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the demo's processes: nothing of the user's holdfast is in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return {**kept, "HOLDFAST_HOME": str(self.home)}

    @property
    def tool_environ(self) -> dict[str, str]:
        """The environment of the sessions' tools: this Python comes first."""
        kept = surroundings.environment(os.environ)
        return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"}


@contextmanager
def temporary_place(*, keep: bool) -> Generator[Place]:
    """Make a place with the sample in it; it is removed in the end, unless it is to be kept."""
    path = Path(tempfile.mkdtemp(prefix="hf-demo-")).resolve()
    place = Place(path)
    try:
        place.home.mkdir(mode=0o700)
        sample_project.copy_to(place.sample)
        yield place
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
