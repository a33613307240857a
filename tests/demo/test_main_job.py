"""The job of docs/transcripts, on a tree of a few hundred files that is made here: no network is needed."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FILES = 300

SOURCE = '''\
"""Module {number}."""


def double(number):
    """Give the the double."""
    return number * 2
'''
TESTS = """\
import unittest

from package import module_7


class DoubleTest(unittest.TestCase):
    def test_double(self):
        self.assertEqual(module_7.double(4), 8)
"""


def _load():
    spec = importlib.util.spec_from_file_location("transcripts", ROOT / ".ci" / "transcripts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


transcripts = _load()

STEPS = (
    transcripts.Step("Looks.", ("run", "--name", "Doubled words", "list files in package")),
    transcripts.Step("Searches.", ("run", "-c", "search for the the in package")),
    transcripts.Step("Reads.", ("run", "-c", "read package/module_7.py")),
    transcripts.Step("Tests.", ("run", "-c", "run python -m unittest -q"), ("--session",)),
    transcripts.Step("Edits.", ("run", "-c", "replace 'the the' with 'the' in package/module_7.py"), ()),
    transcripts.Step("Tests again.", ("run", "-c", "run python -m unittest -q")),
)


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for number in range(FILES):
        (package / f"module_{number}.py").write_text(SOURCE.format(number=number), encoding="utf-8")
    (package.parent / "test_double.py").write_text(TESTS, encoding="utf-8")
    return package.parent


def _played(checkout: Path) -> tuple[str, str]:
    """Give the document, and the file that was edited."""
    with transcripts.people_in(checkout) as people:
        text = transcripts.document(people, STEPS, "{files} files")
        return text, (people.project / "package" / "module_7.py").read_text(encoding="utf-8")


def test_a_project_of_hundreds_of_files_is_listed_searched_read_edited_and_tested(checkout):
    text, edited = _played(checkout)

    assert f"{FILES + 2} files" in text
    assert f"list `package`: {FILES + 1} entries" in text
    assert f"grep `the\\ the`: {FILES} matches" in text
    assert "read `package/module_7.py`: 6 lines" in text
    assert text.count("Ran 1 test in … s") == 2
    assert edited == SOURCE.format(number=7).replace("the the", "the")


def test_what_the_second_shell_allows_is_shown_in_both(checkout):
    text, _ = _played(checkout)

    assert text.count("In the second shell:") == 2
    assert text.count("? answered by the second shell: allow") == 2
    assert "$ holdfast approve 5e551041 --session\nallow: run python -m unittest -q\n" in text
    assert text.index("$ holdfast approve 5e551041\n") < text.index("edited package/module_7.py in 1 place")


def test_the_same_job_gives_the_same_document(checkout):
    assert _played(checkout) == _played(checkout)


def test_the_transcript_in_the_docs_is_of_the_steps_that_stand_in_the_script():
    """If this fails: run .ci/transcripts.py, which needs the network, and look at what it changed."""
    shown = transcripts.TRANSCRIPT.read_text(encoding="utf-8")

    places = [shown.index(f"$ {transcripts.line(step.command)}\n") for step in transcripts.MARKDOWN]
    assert len(places) == 7
    assert [shown.count(step.about) for step in transcripts.MARKDOWN] == [1] * 7
    assert f"Markdown {transcripts.VERSION}" in shown


def test_times_ids_and_directories_are_made_the_same():
    people = transcripts.People(Path("/tmp/hfx"), Path("/tmp/hfx/markdown"))
    told = "/tmp/hfx/markdown 1.5 s, 12 ms, 0.371s, shell-0123456789abcdef, 0a1b2c3d, about 1,240 tokens in"

    assert transcripts.normalised(told, people) == (
        "~/markdown … s, … s, … s, the second shell, 5e551041, about … tokens in"
    )
