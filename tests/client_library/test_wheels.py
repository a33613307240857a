"""The wheels of protocol and client, installed without the daemon, work with one that runs elsewhere."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import anyio
import pytest
from library_world import locations

from fakes.daemons import Home, ProcessDaemon

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)

PROGRAM = """
import importlib.util, sys
ABSENT = ("holdfast_daemon", "apsw", "websockets", "anthropic", "openai", "mcp")
assert [name for name in ABSENT if importlib.util.find_spec(name)] == []
import anyio, holdfast_client
from holdfast_client import blocking
from holdfast_protocol.discovery import Locations

places = Locations(*sys.argv[1:4])

async def main():
    async with holdfast_client.connect("attach", locations=places, require="holdfast>=0.1") as client:
        return await client.run("say from a wheel", cwd=sys.argv[4])

print(anyio.run(main).text.splitlines()[-1])
with blocking.connect("attach", locations=places) as client:
    print(client.run("say blocking", cwd=sys.argv[4]).text.splitlines()[-1])
print(holdfast_client.__file__)
"""


@pytest.fixture(scope="module")
def uv() -> str:
    """The command that builds; CONTRIBUTING.md has it in `.tools`."""
    beside = Path(os.environ.get("UV", ROOT / ".tools" / "bin" / "uv"))
    command = str(beside) if beside.exists() else shutil.which("uv")
    if command is None:
        pytest.skip("uv is not installed")
    return command


@pytest.fixture(scope="module")
def python_with_client(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the two wheels and what they depend on, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("holdfast-protocol", "holdfast-client"):
        build = [
            uv,
            "build",
            "--wheel",
            "--offline",
            "--package",
            package,
            "--out-dir",
            str(folder),
            str(ROOT),
        ]
        subprocess.run(build, check=True, capture_output=True, timeout=120)
    wheels = sorted(folder.glob("*.whl"))
    assert [wheel.name.split("-")[0] for wheel in wheels] == ["holdfast_client", "holdfast_protocol"]
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install = [uv, "pip", "install", "--offline", "--python", str(python), *map(str, wheels)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    return python


def test_the_two_wheels_are_enough_to_work_with_a_daemon(home: Home, python_with_client: Path):
    with ProcessDaemon(home) as daemon:
        anyio.run(daemon.start)
        places = locations(home)
        ran = subprocess.run(
            [str(python_with_client), "-I", "-c", PROGRAM, *places, str(home.work)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    first, second, place = ran.stdout.splitlines()
    assert (first, second) == ("from a wheel", "blocking")
    assert str(ROOT / "clients") not in place
    assert place.startswith(str(python_with_client.parents[1]))
    assert str(python_with_client) != sys.executable
