"""Handler of `usage/get`: adds up the rows the journal keeps; no event is read for it."""

import sys
from collections.abc import Iterable
from typing import Any

from holdfast_daemon.journal.store import DAEMON_SCOPE, UsageRow
from holdfast_daemon.methods.services import Caller, Services
from holdfast_protocol.events import Cost, Usage
from holdfast_protocol.methods.usage import (
    USAGE_MODELS_MAX,
    USAGE_PERIOD_MS,
    ModelUsage,
    UsageGetParams,
    UsageGetResult,
    UsageShare,
    UsageTotals,
)


async def get(services: Services, _caller: Caller, params: UsageGetParams) -> UsageGetResult:
    """Answer `usage/get`."""
    scope = DAEMON_SCOPE
    if params.session_id is not None:
        session = await services.registry.get(params.session_id)
        scope = session.log.key
    since = None if params.since is None else params.since - params.since % USAGE_PERIOD_MS
    rows = await services.journal.query(services.journal.store.usage, scope, since or 0)
    return result_of(rows, since)


def result_of(rows: list[UsageRow], since: int | None) -> UsageGetResult:
    """Give the answer: `rows` by model, source and currency, each but once; `since` where they begin."""
    by_model: dict[str, list[UsageRow]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(row)
    names = sorted(by_model, key=lambda name: (-_tokens(by_model[name]), name))
    return UsageGetResult(
        total=UsageTotals(**_totals(rows)),
        models=tuple(ModelUsage(model=name, **_totals(by_model[name])) for name in names[:USAGE_MODELS_MAX]),
        since=since,
        models_left_out=max(0, len(names) - USAGE_MODELS_MAX),
    )


def _totals(rows: list[UsageRow]) -> dict[str, Any]:
    return {
        "runs": sum(row.runs for row in rows),
        "reported": _share([row for row in rows if not row.estimated], estimated=False),
        "estimated": _share([row for row in rows if row.estimated], estimated=True),
    }


def _share(rows: list[UsageRow], *, estimated: bool) -> UsageShare:
    return UsageShare(
        steps=sum(row.steps for row in rows),
        usage=Usage(
            input=sum(row.input for row in rows),
            cache_read=sum(row.cache_read for row in rows),
            cache_write_5m=sum(row.cache_write_5m for row in rows),
            cache_write_1h=sum(row.cache_write_1h for row in rows),
            output=sum(row.output for row in rows),
            reasoning=sum(row.reasoning for row in rows),
            estimated=estimated,
        ),
        costs=_costs(rows),
        unpriced=sum(row.unpriced for row in rows),
    )


def _costs(rows: list[UsageRow]) -> tuple[Cost, ...]:
    """Add up by currency. Rows without a step of known price have no cost, which is not a cost of 0."""
    amounts: dict[str, float] = {}
    for row in rows:
        if row.steps > row.unpriced:
            # A text at its default is left out of the answer only if it is the default's own object.
            currency = sys.intern(row.currency)
            amounts[currency] = amounts.get(currency, 0.0) + row.amount
    return tuple(Cost(amount=amounts[currency], currency=currency) for currency in sorted(amounts))


def _tokens(rows: Iterable[UsageRow]) -> int:
    return sum(
        row.input + row.cache_read + row.cache_write_5m + row.cache_write_1h + row.output for row in rows
    )
