"""A real browser without a window, and without a driver: it opens one page, and the page tells what happened.

Everything it starts and writes is gone when its context ends.
"""

import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

END_S_MAX = 10.0
SAID_CHARS_MAX = 4000

FLAGS = (
    "--headless",
    "--no-sandbox",  # Root has none, a container often gives none; the pages are the tests' own.
    "--disable-dev-shm-usage",  # Often too small in a container.
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--enable-logging=stderr",  # With what pages write to the console, uncaught errors above all.
)


def find_chromium() -> str | None:
    """Give the browser's command, if one is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing(command: str, page: str, hosts: Mapping[str, str]) -> Iterator[None]:
    """Have a page open.

    Args:
        command: the browser.
        page: its URL.
        hosts: where a name, or a name with its port, leads to; what is not named here leads nowhere new.
    """
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        said = Path(directory, "said")
        with said.open("wb") as output:
            process = subprocess.Popen(
                [
                    command,
                    *FLAGS,
                    f"--user-data-dir={directory}/profile",
                    "--host-resolver-rules=" + ", ".join(f"MAP {name} {to}" for name, to in hosts.items()),
                    page,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], "HOME": directory, "TMPDIR": directory},
                start_new_session=True,
            )
        try:
            yield
        except BaseException as error:
            error.add_note(f"The browser ({process.poll()}) said: {_complaints(said)[-SAID_CHARS_MAX:]}")
            raise
        finally:
            _end(process, directory)


def _complaints(said: Path) -> str:
    lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line for line in lines if "/dbus/" not in line and ":dbus/" not in line)


def _end(process: "subprocess.Popen[bytes]", directory: str) -> None:
    """Kill the browser with all its processes, and wait for their end: its directory is removed next."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_S_MAX)
    for pid in _living(process.pid, directory):
        _kill(pid)
    assert _living(process.pid, directory) == []


def _living(group: int, directory: str) -> list[int]:
    """List what runs of the browser: its group, and crash handlers, which leave it but name its directory."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _is_of(entry, group, directory)]


def _is_of(entry: Path, group: int, directory: str) -> bool:
    try:
        state, _parent, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        command = (entry / "cmdline").read_bytes()
    except OSError:  # It has ended meanwhile.
        return False
    if state in "ZX":  # It has ended, and nobody has asked how.
        return False
    return int(its_group) == group or directory.encode() in command


def _kill(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        ended, _, _ = select.select([descriptor], [], [], END_S_MAX)
        assert ended, f"process {pid} of the browser does not end"
    finally:
        os.close(descriptor)
