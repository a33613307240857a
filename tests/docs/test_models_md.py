"""docs/models.md names what the daemon has: providers, keys, models, kinds of errors, and their numbers."""

import re
from pathlib import Path
from typing import get_args

import pytest

from holdfast_daemon.models.circuit import CircuitPolicy
from holdfast_daemon.models.errors import RETRYABLE, ModelErrorKind
from holdfast_daemon.models.providers import KNOWN_MODELS, PROVIDERS
from holdfast_daemon.models.retry import RetryPolicy

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ")
]


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_a_provider_has_a_row_with_its_key_and_its_models(provider):
    (row,) = [row for row in ROWS if f"`{provider.name}`" in row[0]]
    assert row[1].strip("`") == (provider.key_variable or "none")
    models = [known.target.id for known in KNOWN_MODELS if known.target.provider is provider]
    assert models == re.findall(r"`([^`]+)`", row[2])


def test_every_kind_of_error_is_there_with_whether_it_is_tried_again():
    told = {
        kind: row[2] == "yes"
        for row in ROWS
        if row[2:] in (["yes"], ["no"])
        for kind in re.findall(r"`(\w+)`", row[0])
    }
    assert told == {kind: kind in RETRYABLE for kind in get_args(ModelErrorKind)}


def test_its_figures_of_retries_and_circuits_are_the_defaults():
    assert (RetryPolicy().tries_max, RetryPolicy().base_s, RetryPolicy().total_s) == (6, 0.5, 120)
    assert "There are six tries at most, with random waits of up to 0.5, 1, 2, 4 and 8 seconds" in TEXT
    assert (CircuitPolicy().failures_max, CircuitPolicy().window_s, CircuitPolicy().open_s) == (5, 30, 30)
    assert "Five failures in a row within 30 seconds" in TEXT
