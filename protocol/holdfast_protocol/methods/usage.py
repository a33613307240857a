"""What was used and what it cost, of one session or of all (PROTOCOL.md, "Methods")."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast_protocol.events.base import Cost, Identifier, Usage, WireStruct
from holdfast_protocol.methods.table import Method

USAGE_PERIOD_MS: Final = 15 * 60 * 1000
"""What was used is added up by periods of this length: each time zone's day begins with one of them."""

USAGE_MODELS_MAX: Final = 256
"""Models in one answer of `usage/get`; the totals are of all."""


class UsageGetParams(WireStruct, frozen=True, kw_only=True):
    """Whose usage, and since when.

    Attributes:
        session_id: None: all sessions together, deleted ones too.
        since: Unix ms; the answer begins with the quarter of an hour it lies in. None: the beginning.
    """

    session_id: Identifier | None = None
    since: Annotated[int, Meta(ge=0, le=8_640_000_000_000_000)] | None = None


class UsageShare(WireStruct, frozen=True, kw_only=True):
    """Steps whose figures come from one source.

    Attributes:
        steps: model responses.
        usage: their tokens by class.
        costs: what those of known price cost together, one amount for each currency.
        unpriced: steps whose price is unknown; nothing of `costs` is theirs.
    """

    steps: int
    usage: Usage
    costs: tuple[Cost, ...]
    unpriced: int = 0


class UsageTotals(WireStruct, frozen=True, kw_only=True):
    """Figures of the providers and estimates of ours, which are never added to each other.

    Attributes:
        runs: that were started.
        reported: steps whose provider said what they used.
        estimated: the other steps.
    """

    runs: int
    reported: UsageShare
    estimated: UsageShare


class ModelUsage(UsageTotals, frozen=True, kw_only=True):
    """What was used of one model."""

    model: str


class UsageGetResult(WireStruct, frozen=True, kw_only=True):
    """What was used.

    Attributes:
        total: of all models, also of those that are left out of `models`.
        models: by model, most tokens first.
        since: Unix ms: where the answer begins, if that was asked.
        models_left_out: how many models are not in `models`.
    """

    total: UsageTotals
    models: tuple[ModelUsage, ...]
    since: int | None = None
    models_left_out: int = 0


METHODS: tuple[Method, ...] = (
    Method(
        name="usage/get",
        direction="call",
        params=UsageGetParams,
        result=UsageGetResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="Add up tokens and cost, of one session or of all, by model.",
    ),
)
