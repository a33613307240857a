"""The `read` tool: text as it stands, in pieces, inside the roots."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_calls import call

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools import files
from holdfast_daemon.tools.files import LINES_MAX, TEXT_BYTES_MAX, ReadInput, ReadTool
from holdfast_daemon.tools.line_range import BinaryFile, TooFar, read_line_range
from holdfast_protocol.events import Location

TOOL = ReadTool()


async def test_a_file_is_given_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\r\n\ttwo ü\nno newline".encode())
    called = await call(TOOL, tmp_path, path="a.txt")
    assert called.texts == ["one\r\n\ttwo ü\nno newline"]
    assert called.outcome.truncated is False


async def test_an_absolute_path_inside_the_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert (await call(TOOL, tmp_path, path=str(tmp_path / "a.txt"))).texts == ["x"]


async def test_a_range_of_lines_is_read_and_the_note_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n3\n4\n5\n")
    called = await call(TOOL, tmp_path, path="a.txt", offset=2, limit=3)
    assert called.texts == ["2\n3\n4\n", "[lines 2 to 4; go on with offset 5]"]
    assert called.outcome.truncated is False  # It is what was asked for.
    assert (await call(TOOL, tmp_path, path="a.txt", offset=5)).texts == ["5\n"]


async def test_a_file_of_just_as_many_lines_as_fit_is_whole_and_one_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n" * LINES_MAX)
    assert len((await call(TOOL, tmp_path, path="a.txt")).texts) == 1
    (tmp_path / "a.txt").write_text("x\n" * (LINES_MAX + 1))
    assert (await call(TOOL, tmp_path, path="a.txt")).texts[1] == "[lines 1 to 2000; go on with offset 2001]"


async def test_a_file_of_just_as_many_bytes_as_fit_is_whole_and_one_more_is_not(tmp_path: Path) -> None:
    line = "x" * 1023 + "\n"
    (tmp_path / "a.txt").write_text(line * (TEXT_BYTES_MAX // 1024))
    assert len((await call(TOOL, tmp_path, path="a.txt")).texts) == 1
    (tmp_path / "a.txt").write_text(line * (TEXT_BYTES_MAX // 1024) + "y")
    called = await call(TOOL, tmp_path, path="a.txt")
    assert called.texts[1] == "[lines 1 to 48; go on with offset 49]"
    assert called.outcome.truncated


async def test_a_line_that_is_too_long_is_cut_and_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é" * TEXT_BYTES_MAX + "\nnext\n")
    called = await call(TOOL, tmp_path, path="a.txt")
    assert called.texts[1] == f"[line 1 is longer than {TEXT_BYTES_MAX} bytes; only its beginning is shown]"
    assert called.outcome.truncated


def test_a_result_always_fits_the_executors_limit() -> None:
    assert ExecutionLimits().result_bytes_max > TEXT_BYTES_MAX + 1024


async def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert (await call(TOOL, tmp_path, path="a.txt")).texts == ["", "[the file is empty]"]


async def test_bytes_that_are_not_utf_8_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    assert (await call(TOOL, tmp_path, path="a.txt")).texts == [
        "caf\ufffd\n", "[the file is not UTF-8; what could not be read is shown as \ufffd]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("missing", "not_found", "there is no file missing"),
        ("file/below", "not_found", "there is no file file/below"),
        ("folder", "not_text", "folder is a directory"),
        ("fifo", "not_text", "fifo is not a regular file"),
        ("binary", "not_text", "binary is a binary file"),
        ("late_binary", "not_text", "late_binary is a binary file"),
        ("../secret", "outside_roots", "../secret is outside the session's directories"),
        ("/etc/passwd", "outside_roots", "/etc/passwd is outside the session's directories"),
        ("link", "outside_roots", "link is outside the session's directories"),
        ("x" * 300, "tool_failed", f"{'x' * 300} cannot be read: File name too long"),
        ("a\0b", "invalid_input", "a path cannot hold a NUL character"),
    ],
)
async def test_what_cannot_be_read_says_why(tmp_path: Path, path: str, kind: str, message: str) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_text("x")
    (root / "binary").write_bytes(b"ELF\0")
    (root / "late_binary").write_bytes(b"text\n" * 4000 + b"\0")
    (root / "link").symlink_to("../secret")
    os.mkfifo(root / "fifo")
    error = (await call(TOOL, root, path=path, offset=3000 if path == "late_binary" else 1)).error
    assert (error.kind, error.message) == (kind, message)


async def test_an_offset_past_the_end_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    error = (await call(TOOL, tmp_path, path="a.txt", offset=3)).error
    assert (error.kind, error.message) == ("out_of_range", "a.txt ends before line 3")


async def test_a_line_too_far_into_a_file_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SCAN_BYTES_MAX", 10)
    (tmp_path / "a.txt").write_text("12345\n" * 4)
    assert (await call(TOOL, tmp_path, path="a.txt", offset=2)).texts == ["12345\n" * 3]
    assert (await call(TOOL, tmp_path, path="a.txt", offset=3)).error.kind == "too_large"


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("x")
    await call(TOOL, tmp_path, path="file")  # Threads and libraries are there now.
    before = descriptors()
    for path in ("folder", "fifo", "missing", "file", "../x"):
        await call(TOOL, tmp_path, path=path)
    assert descriptors() == before


def test_a_call_names_its_file_and_line() -> None:
    assert TOOL.title(ReadInput(path="a/b.txt")) == "read a/b.txt"
    assert TOOL.locations(ReadInput(path="../b.txt", offset=7), "/w/a") == (
        Location(path="/w/b.txt", line=7),
    )
    assert TOOL.locations(ReadInput(path="/x"), "/w") == (Location(path="/x"),)


# Ranges of lines ------------------------------------------------------------------------------------------


def check_nothing() -> None:
    pass


def take(data: bytes, first: int, count: int, bytes_max: int = 1000, scan_bytes_max: int = 10_000):
    return read_line_range(
        io.BytesIO(data),
        first,
        count,
        bytes_max=bytes_max,
        scan_bytes_max=scan_bytes_max,
        check=check_nothing,
    )


text_bytes = st.lists(st.sampled_from([b"\n", b"a", b"bb\n", b"\r\n", b"\xff"]), max_size=40).map(b"".join)


@given(text_bytes, st.integers(1, 5), st.integers(8, 30))
def test_reading_on_from_each_note_gives_the_whole_file(data: bytes, count: int, bytes_max: int) -> None:
    whole = b""
    first = 1
    while True:
        lines = take(data, first, count, bytes_max)
        assert len(lines.data) <= bytes_max
        whole += lines.data
        if lines.cut_line or not lines.more:
            break
        assert lines.last >= first
        first = lines.last + 1
    assert whole == data or (lines.cut_line and data.startswith(whole))


@given(text_bytes, st.integers(1, 50), st.integers(1, 50))
def test_a_range_is_what_splitting_the_file_gives(data: bytes, first: int, count: int) -> None:
    lines = data.split(b"\n")
    expected = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    taken = take(data, first, count)
    assert taken.data == b"".join(expected[first - 1 : first - 1 + count])
    assert taken.more is (len(expected) > first - 1 + count)


def test_a_nul_byte_makes_a_file_binary() -> None:
    with pytest.raises(BinaryFile):
        take(b"a\0", 1, 1)


def test_scanning_is_bounded_and_can_be_stopped() -> None:
    with pytest.raises(TooFar):
        take(b"x\n" * 100, 90, 1, scan_bytes_max=20)

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        read_line_range(io.BytesIO(b"\n" * 5000), 4000, 1, bytes_max=10, scan_bytes_max=10_000, check=stop)
