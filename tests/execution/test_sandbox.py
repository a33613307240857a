"""Confined commands: what they see, what they reach, what they may change, and how they end."""
# ruff: noqa: ASYNC230, ASYNC240 - the files are the test's own, and it has nothing else to do

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from process_sightings import Lines, living_with, new_mark
from sandbox_here import launcher, need_sandbox, said

from holdfast_daemon.config import ExecutionLimits, SandboxSettings
from holdfast_daemon.execution import bubblewrap_sandbox as sandboxes
from holdfast_daemon.execution.bubblewrap import Mounts
from holdfast_daemon.execution.bubblewrap_sandbox import Bubblewrap, detect_sandbox
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.execution.sandbox import Unconfined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

ROUNDS = int(os.environ.get("HOLDFAST_SANDBOX_ROUNDS", "2"))
"""How often descendants are ended; 100 in a long run."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory outside the places that every sandbox covers, such as /tmp."""
    base = Path.home() if os.access(Path.home(), os.W_OK) else Path("/var")
    with tempfile.TemporaryDirectory(prefix=".hfsandbox", dir=base) as path:
        yield Path(path).resolve()


@pytest.fixture
def root(place: Path) -> Path:
    path = place / "root"
    path.mkdir()
    return path


# What is there --------------------------------------------------------------------------------------------


async def test_a_root_is_writable_and_nothing_else_is(place: Path, root: Path) -> None:
    (place / "other").write_text("before")
    text = await said(
        f"echo in > made; cat made; echo out > {place}/other || echo refused; cat {place}/other;"
        f" touch {place}/new /etc/new /usr/new 2>/dev/null || echo refused",
        launched_by=launcher(),
        root=root,
    )
    assert text.splitlines()[0] == "in"
    assert text.count("refused") == 2
    assert (root / "made").read_text() == "in\n"
    assert (place / "other").read_text() == "before"
    assert not (place / "new").exists()


async def test_what_a_command_may_as_the_kernel_tells_it(root: Path) -> None:
    text = await said(
        "cat /proc/self/status; ulimit -c; ls /sys/class/net", launched_by=launcher(), root=root
    )
    status = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert {status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}


async def test_tmp_is_private_and_gone_with_the_call(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as outside:
        Path(outside, "seen").touch()
        text = await said(
            f"cat {outside}/seen || echo unseen; echo x > /tmp/made && ls /tmp",
            launched_by=launcher(),
            root=root,
        )
        assert text.splitlines()[-2:] == ["unseen", "made"]
    assert (
        await said("ls /tmp /var/tmp | grep made || echo none", launched_by=launcher(), root=root) == "none\n"
    )
    assert not Path("/tmp/made").exists()


async def test_a_root_under_tmp_is_there(tmp_path: Path) -> None:
    await said("echo x > made", launched_by=launcher(), root=tmp_path, code=0)
    assert (tmp_path / "made").read_text() == "x\n"


async def test_only_the_given_environment_is_there_also_in_procfs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CANARY", "of the daemon")
    text = await said("cat /proc/*/environ | tr '\\0' '\\n'; env", launched_by=launcher(), root=root)
    assert "CANARY" not in text
    assert "LANG=C.UTF-8" in text


async def test_no_process_of_the_machine_is_visible(root: Path) -> None:
    text = await said(
        f"ls /proc | grep '^[0-9]' | wc -l; kill -0 {os.getpid()} 2>/dev/null || echo none",
        launched_by=launcher(),
        root=root,
    )
    count, none = text.split()
    assert int(count) < 10
    assert none == "none"


async def test_no_descriptor_of_the_daemon_is_inherited(root: Path) -> None:
    with Path("/etc/hostname").open() as held:
        os.set_inheritable(held.fileno(), True)
        text = await said("ls -l /proc/self/fd", launched_by=launcher(), root=root)
    assert "memfd" not in text
    assert "hostname" not in text


async def test_the_command_line_shows_nothing_of_what_is_hidden(place: Path, root: Path) -> None:
    hidden = place / "state"
    hidden.mkdir()
    # The brackets keep the pattern from finding itself.
    text = await said(
        f"cat /proc/*/cmdline | tr '\\0' '\\n' | grep -a '{place.name}/[s]tate' || echo none",
        launched_by=launcher(),
        root=root,
        hidden=(hidden,),
    )
    assert text == "none\n"


# What is not reached --------------------------------------------------------------------------------------


async def test_the_daemons_own_directories_are_not_there(place: Path, root: Path) -> None:
    """security.md T8: socket, token, configuration, keys."""
    hidden = tuple(place / name for name in ("state", "run", "config", "keys"))
    for path in hidden:
        path.mkdir()
        (path / "token").write_text("canary")
    link = root / "link"
    link.symlink_to(hidden[0] / "token")
    names = " ".join(f"{path}/token {root}/../{path.name}/token" for path in hidden)
    text = await said(
        f"cat {names} link; ls -A {' '.join(map(str, hidden))}; echo x > {hidden[0]}/made",
        launched_by=launcher(),
        root=root,
        hidden=hidden,
    )
    assert "canary" not in text
    assert "token" not in [line for line in text.splitlines() if " " not in line]
    assert not (hidden[0] / "made").exists()


async def test_a_directory_of_the_daemon_inside_a_root_is_not_there_and_cannot_be_made(root: Path) -> None:
    state, config = root / "state", root / "not" / "yet"
    state.mkdir()
    (state / "token").write_text("canary")
    text = await said(
        f"cat {state}/token; mv {state} away; mkdir -p {config}; ls -A {state}",
        launched_by=launcher(),
        root=root,
        hidden=(state, config),
    )
    assert "canary" not in text
    assert (state / "token").read_text() == "canary"
    assert not (root / "away").exists()
    assert sorted(path.name for path in root.iterdir()) == ["state"]


@pytest.mark.parametrize("network", [False, True])
async def test_no_socket_of_the_file_system_is_reached(
    root: Path, network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it lies in a directory that is visible: peers of the same user trust each other."""
    listening = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(root)  # The whole path is longer than an address may be.
    listening.bind("daemon.sock")
    listening.listen()
    listening.setblocking(False)
    program = f"""
import socket
for address in ({str(root / "daemon.sock")!r}, "\\0holdfast-abstract"):
    try:
        socket.socket(socket.AF_UNIX).connect(address)
        print("reached")
    except OSError as error:
        print("refused", error.errno)
a, b = socket.socketpair()
a.send(b"pair"); print(b.recv(4).decode())
"""
    text = await said(
        f"{_python()} -c '{_quoted(program)}'", launched_by=launcher(), root=root, network=network
    )
    assert text == "refused 97\nrefused 97\npair\n"
    with pytest.raises(BlockingIOError):
        listening.accept()
    listening.close()


async def test_unix_sockets_are_there_if_asked_for(root: Path) -> None:
    text = await said(
        f"{_python()} -c 'import socket; socket.socket(socket.AF_UNIX); print(1)'",
        launched_by=launcher(settings=SandboxSettings(unix_sockets=True)),
        root=root,
    )
    assert text == "1\n"


CONNECT = """
import socket, sys
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
    connection = socket.socket(family, kind)
    connection.settimeout(5)
    try:
        connection.connect(("127.0.0.1", int(sys.argv[1])))
        connection.send(b"x")
        print("sent")
    except OSError as error:
        print("refused")
try:
    connection.sendto(b"x", ("192.0.2.1", 9))
    print("sent")
except OSError:
    print("refused")
"""


async def test_there_is_no_network_unless_it_is_allowed(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = f"{_python()} -c '{_quoted(CONNECT)}' {port}"
        assert (await said(command, launched_by=launcher(), root=root)).splitlines()[0] == "refused"
        assert "sent" not in (
            await said(f"cat < /dev/tcp/127.0.0.1/{port} && echo sent", launched_by=launcher(), root=root)
        )
        allowed = launcher(settings=SandboxSettings(network=True))
        assert (await said(command, launched_by=allowed, root=root)).splitlines()[0] == "sent"


async def test_secrets_of_a_home_are_not_there_even_if_the_home_is_a_root(place: Path) -> None:
    for name in (".ssh", ".aws", ".config/gcloud"):
        (place / name).mkdir(parents=True)
        (place / name / "key").write_text("canary")
    (place / ".netrc").write_text("canary")
    (place / "root").mkdir()
    agent = place / "agent"
    agent.mkdir()
    (agent / "sock").write_text("canary")
    look = f"cd {place}; cat .ssh/key .aws/key .config/gcloud/key .netrc agent/sock; echo end"
    launched_by = launcher(home=place, environ={"SSH_AUTH_SOCK": str(agent / "sock")})
    for root in (place / "root", place):
        text = await said(look, launched_by=launched_by, root=root)
        assert "canary" not in text
        assert text.endswith("end\n")


async def test_calls_that_look_into_others_or_reach_deep_into_the_kernel_are_refused(root: Path) -> None:
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = {"ptrace": (101, 0, 0, 0, 0), "keyctl": (250, 0, 0), "io_uring_setup": (425, 1, 0),
         "bpf": (321, 0, 0, 0), "unshare": (272, 0x10000000), "mount": (165, 0, 0, 0, 0, 0),
         "setns": (308, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
         "clone": (56, 0x10000000, 0, 0, 0, 0), "clone3": (435, 0, 0),
         "userfaultfd": (323, 0), "ioctl": (16, 0, 0x5412, 0), "x32": (0x40000000 + 39,)}
for name, (number, *arguments) in calls.items():
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    if name == "clone" and result == 0:
        os._exit(0)
    print(name, result, ctypes.get_errno())
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    text = await said(f"{_python()} -c '{_quoted(program)}'", launched_by=launcher(), root=root)
    refused = {name: (int(result), int(number)) for name, result, number in map(str.split, text.splitlines())}
    assert len(refused) == 13
    for name, outcome in refused.items():
        assert outcome == (-1, 38 if name in {"clone3", "x32"} else 1), name


async def test_no_user_namespace_can_be_made(root: Path) -> None:
    assert "made" not in await said("unshare --user echo made", launched_by=launcher(), root=root)


# Protected places -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(root: Path) -> Path:
    subprocess.run(
        ["git", "init", "-q", str(root)], check=True, env={"PATH": os.environ["PATH"], "HOME": "/"}
    )
    return root


async def test_git_works_and_its_hooks_and_settings_stay_as_they_are(repository: Path) -> None:
    settings = (repository / ".git/config").read_text()
    text = await said(
        "echo x > file && git add file && git -c user.name=n -c user.email=e commit -qm message; git log;"
        "for f in .git/hooks/pre-commit .git/config .git/modules/x .vscode/tasks.json .holdfast/x .claude/x;"
        " do mkdir -p $(dirname $f) 2>/dev/null; echo evil 2>/dev/null >> $f && echo written $f; done;"
        " git config core.pager evil",
        launched_by=launcher(),
        root=repository,
    )
    assert "message" in text
    assert "written" not in text
    assert (repository / ".git/config").read_text() == settings
    assert not (repository / ".git/hooks/pre-commit").exists()
    assert sorted(path.name for path in repository.iterdir()) == [".git", "file"]
    assert not (repository / ".git/modules").exists()


async def test_a_protected_place_cannot_be_renamed_away_from_under_its_protection(repository: Path) -> None:
    text = await said(
        "mv .git aside && echo moved; rm -rf .git; mkdir -p .git/hooks;"
        " echo evil > .git/hooks/pre-commit && echo written",
        launched_by=launcher(),
        root=repository,
    )
    assert "moved" not in text
    assert "written" not in text
    assert not (repository / "aside").exists()
    assert (repository / ".git" / "config").exists()


async def test_the_pointer_of_a_linked_working_tree_stays_as_it_is(root: Path) -> None:
    (root / ".git").write_text("gitdir: /nowhere\n")
    await said("echo gitdir: evil > .git; rm -f .git; mv .git x", launched_by=launcher(), root=root)
    assert (root / ".git").read_text() == "gitdir: /nowhere\n"


async def test_a_root_in_a_root_is_protected_like_any_other(root: Path) -> None:
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    lines = Lines()
    await launcher().run(
        ["/bin/bash", "-c", "mv a c; mkdir -p a/b/.git/hooks; echo evil > a/b/.git/hooks/x && echo written"],
        cwd=str(root),
        env={"PATH": "/usr/bin:/bin"},
        limits=ExecutionLimits(),
        output=lines.take,
        confinement=Confinement(writable=(str(root), str(inner))),
    )
    assert "written" not in lines.text
    assert sorted(path.name for path in root.rglob("*")) == ["a", "b"]


async def test_places_stay_protected_while_any_of_the_calls_at_the_same_time_needs_it(root: Path) -> None:
    launched_by = launcher()
    lines = Lines()
    async with anyio.create_task_group() as group:

        async def long() -> None:
            await said(
                "echo up; while [ ! -e go ]; do sleep 0.01; done; mkdir -p .vscode/x && echo written; true",
                launched_by=launched_by,
                root=root,
                lines=lines,
            )

        group.start_soon(long)
        await lines.until(1)
        await said("echo short", launched_by=launched_by, root=root)
        (root / "go").touch()
    assert "written" not in lines.text
    assert sorted(path.name for path in root.iterdir()) == ["go"]


async def test_mount_points_of_one_call_get_none_of_another_in_them(root: Path) -> None:
    """A `.git` that held something would be taken for a repository; and one would be left behind."""
    launched_by = launcher()
    tries = "mkdir -p .git/hooks/x .git/objects 2>/dev/null && echo written"
    outputs: list[Lines] = []
    ended = anyio.Event()
    async with anyio.create_task_group() as group:

        async def until_it_may_go(lines: Lines, file: str) -> None:
            command = f"{tries}; echo up; while [ ! -e {file} ]; do sleep 0.01; done; {tries}; true"
            await said(command, launched_by=launched_by, root=root, lines=lines)
            ended.set()

        for file in ("first", "second"):
            outputs.append(Lines())
            group.start_soon(until_it_may_go, outputs[-1], file)
            await outputs[-1].until(1)
        assert list((root / ".git").iterdir()) == []
        (root / "first").touch()
        with anyio.fail_after(30):
            await ended.wait()
        assert list((root / ".git").iterdir()) == []
        (root / "second").touch()
    assert [lines.text for lines in outputs] == ["up\n", "up\n"]
    assert sorted(path.name for path in root.iterdir()) == ["first", "second"]


async def test_mount_points_of_a_killed_daemon_are_removed_by_the_next_if_they_are_empty(
    place: Path, root: Path
) -> None:
    need_sandbox()
    record = place / "mount-points"
    first = MountPoints(record)
    async with first.held(lambda: _mounts(root / "empty", root / "used")):
        (root / "used" / "file").touch()
        copy = record.read_bytes()
    (root / "empty").mkdir()
    record.write_bytes(copy)
    MountPoints(record).remove_left_behind()
    assert sorted(path.name for path in root.iterdir()) == ["used"]
    assert not record.exists()


# Limits and ends ------------------------------------------------------------------------------------------


async def test_data_and_files_of_a_process_are_limited(root: Path) -> None:
    settings = SandboxSettings(memory_bytes_max=200_000_000, file_bytes_max=1_000_000)
    text = await said(
        f"{_python()} -c 'bytearray(10**9)' 2>&1 | tail -n 1; head -c 2000000 /dev/zero > big;"
        " stat -c %s big",
        launched_by=launcher(settings=settings),
        root=root,
    )
    assert "MemoryError" in text
    assert text.splitlines()[-1] == "1000000"


async def test_a_fork_bomb_is_held(root: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("the kernel does not count the processes of root")
    text = await said(
        "for i in $(seq 60); do sleep 100 & done; jobs -r | wc -l",
        launched_by=launcher(settings=SandboxSettings(processes_max=30)),
        root=root,
        grace_s=0.1,
    )
    assert "Resource temporarily unavailable" in text


async def test_sigterm_comes_before_sigkill_also_in_a_sandbox(root: Path) -> None:
    lines = Lines()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await said(
                "trap 'echo x > cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
                launched_by=launched_by,
                root=root,
                lines=lines,
                grace_s=5,
            )

        launched_by = launcher()
        group.start_soon(run)
        await lines.until(1)
        group.cancel_scope.cancel()
    assert (root / "cleaned").exists()


async def test_what_is_left_in_the_background_ends_with_the_command(root: Path) -> None:
    mark = new_mark()
    text = await said(
        f"(setsid sh -c 'trap \"\" TERM; sleep {mark}' >/dev/null 2>&1 &); echo up",
        launched_by=launcher(),
        root=root,
        grace_s=0.1,
    )
    assert text == "up\n"
    assert living_with(mark) == []


def descendants(mark: str, count: int) -> str:
    """A command that starts so many processes that ignore SIGTERM, in all the ways to get away."""
    plain = f"sh -c 'trap \"\" TERM INT HUP; echo up; sleep {mark}; :'"
    escaped = f"(setsid {plain} &)"
    shed = f"(ulimit -R 1000000; setsid env -i PATH=/usr/bin:/bin {plain} &)"
    ways = f"{plain} & {escaped}; {shed}; (({plain}) &)"
    return f"for i in $(seq {count // 4}); do {ways}; done; trap '' TERM; wait; sleep {mark}"


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_no_descendant_survives_a_cancellation(root: Path) -> None:
    """security.md P4."""
    launched_by = launcher(settings=SandboxSettings(processes_max=1000))
    for _ in range(ROUNDS):
        mark = new_mark()
        lines = Lines()
        async with anyio.create_task_group() as group:

            async def run(mark: str = mark, lines: Lines = lines) -> None:
                await said(
                    descendants(mark, 200), launched_by=launched_by, root=root, lines=lines, grace_s=0.5
                )

            group.start_soon(run)
            await lines.until(200)
            while len(await anyio.to_thread.run_sync(living_with, mark)) < 200:
                pass  # Between fork and exec it has another command line.
            started = anyio.current_time()
            group.cancel_scope.cancel()
        took_ms = (anyio.current_time() - started) * 1000
        assert living_with(mark) == []
        print(f"200 descendants were gone after {took_ms:.0f} ms")


# Detection ------------------------------------------------------------------------------------------------


def test_a_machine_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "_PATH", "/nowhere")
    found = detect_sandbox(SandboxSettings(), MountPoints(), Path.home(), {})
    assert not found.confines
    assert found.info.kind == "none"
    assert "bubblewrap is not installed" in str(found.info.detail)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "No permissions to create new namespace",
        ),
        ('while [ "$1" != -- ]; do shift; done; shift; exec "$@"', "does not hold"),
        ("exit 0", "does not hold"),
    ],
    ids=["no namespaces", "one that confines nothing", "one that does nothing"],
)
def test_a_bubblewrap_that_does_not_work_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\n{script}\n")
    bwrap.chmod(0o755)
    monkeypatch.setattr(sandboxes, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    found = detect_sandbox(SandboxSettings(), MountPoints(), Path.home(), {})
    assert isinstance(found, Unconfined)
    assert reason in str(found.info.detail)


def test_a_sandbox_that_is_off_says_so() -> None:
    found = detect_sandbox(SandboxSettings(mode="off"), MountPoints(), Path.home(), {})
    assert (found.confines, found.info.kind) == (False, "none")
    assert "sandbox.mode" in str(found.info.detail)


def test_a_sandbox_that_works_says_what_it_allows() -> None:
    need_sandbox()
    found = detect_sandbox(SandboxSettings(), MountPoints(), Path.home(), {})
    assert isinstance(found, Bubblewrap)
    assert found.info.kind == "bubblewrap"
    assert "no network" in str(found.info.detail)


async def test_nothing_runs_unconfined_where_a_sandbox_is_required(tmp_path: Path) -> None:
    bare = Launcher(Unconfined("there is none."), settings=SandboxSettings(mode="require"))
    with pytest.raises(NotConfined, match="there is none"):
        await said("touch made", launched_by=bare, root=tmp_path)
    assert not (tmp_path / "made").exists()


def _python() -> str:
    return str(Path(sys.executable).resolve())


def _quoted(program: str) -> str:
    return program.replace("'", "'\\''")


def _mounts(*paths: Path) -> Mounts:
    return Mounts((), tuple(map(str, paths)), ())


# Places in places ------------------------------------------------------------------------------------------


async def test_a_hidden_directory_in_a_secret_place_keeps_no_command_from_running(
    place: Path, root: Path
) -> None:
    runtime = place / "runtime"
    own = runtime / "holdfast"
    own.mkdir(parents=True)
    (own / "token").write_text("TOKEN")
    found = launcher(environ={"XDG_RUNTIME_DIR": str(runtime)})
    text = await said(
        f"ls -A {runtime}; cat {own}/token || echo gone; mkdir {runtime}/new || echo sealed",
        launched_by=found,
        root=root,
        hidden=(own,),
    )
    assert "TOKEN" not in text
    assert "gone" in text
    assert "sealed" in text


async def test_the_daemons_own_directories_are_hidden_without_being_named(place: Path, root: Path) -> None:
    own = place / "state"
    own.mkdir()
    (own / "token").write_text("TOKEN")
    text = await said(f"cat {own}/token || echo gone", launched_by=launcher(own=(own,)), root=root)
    assert "TOKEN" not in text
    assert "gone" in text


@pytest.mark.parametrize("inside", ["", "root"])
async def test_a_plugins_folder_is_shown_in_the_hidden_configuration_and_nothing_else_of_it(
    place: Path, root: Path, inside: str
) -> None:
    config = place / inside / "config"
    plugin = config / "plugins" / "mine"
    plugin.mkdir(parents=True)
    (plugin / "code.py").write_text("CODE")
    (config / "plugins" / "other").mkdir()
    (config / "config.toml").write_text("SECRET")
    text = await said(
        f"cat {plugin}/code.py; ls {config} {config}/plugins; cat {config}/config.toml || echo gone;"
        f" touch {plugin}/x || echo unchanged; touch {config}/x || echo sealed",
        launched_by=launcher(own=(config,)),
        root=root,
        shown=(plugin,),
    )
    assert "CODE" in text
    assert "SECRET" not in text
    assert "other" not in text
    assert [word for word in ("gone", "unchanged", "sealed") if word not in text.split()] == []


async def test_a_root_in_a_secret_place_is_there_and_the_rest_is_not(place: Path) -> None:
    secret = place / "secret"
    root = secret / "work"
    root.mkdir(parents=True)
    (secret / "key").write_text("KEY")
    found = launcher(environ={"XDG_RUNTIME_DIR": str(secret)})
    text = await said(
        f"echo in > made; cat made; cat {secret}/key || echo gone", launched_by=found, root=root
    )
    assert text.startswith("in\n")
    assert "KEY" not in text
    assert (root / "made").read_text() == "in\n"
