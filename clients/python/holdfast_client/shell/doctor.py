"""`holdfast doctor`: looks at everything holdfast needs, and says what to do about what is wrong."""

import json
import os
from time import monotonic
from typing import Final, NamedTuple

from holdfast_client.shell import endpoint
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.diagnosis import (
    configuration,
    daemon_state,
    directories,
    models,
    program,
    record,
    tools,
)
from holdfast_client.shell.diagnosis.check import Check, Finding, Scene
from holdfast_client.shell.diagnosis.redaction import redact, secrets
from holdfast_client.shell.exit_codes import FAILED, OK, CommandFailed
from holdfast_client.shell.plain import plain

SPEC: Final = Spec(
    usage="""\
holdfast doctor [--json] [--fix]

Check what holdfast needs: programs, settings and where they come from,
directories, daemon, tools, models. Starts no daemon, calls no cloud, and says
no secret. Rows are [ok], [!!] (works, but not as it should) and [XX].

  --json   one JSON document: {"schemaVersion": 1, "checks": {…}}
  --fix    repair what is safe to: permissions of files and directories of
           yours, and a discovery record of a daemon that has gone

The exit code is 1 if any row is [XX].
""",
    flags={"--json": "json", "--fix": "fix"},
)

SCHEMA_VERSION: Final = 1

CHECKS: Final = (
    *program.CHECKS,
    *configuration.CHECKS,
    *directories.CHECKS,
    *record.CHECKS,
    *daemon_state.CHECKS,
    *tools.CHECKS,
    *models.CHECKS,
)

_MARKS: Final = {"ok": "[ok]", "warning": "[!!]", "failed": "[XX]"}


class Row(NamedTuple):
    """A check, what it found in the end, and how long it took."""

    check: Check
    finding: Finding
    duration_ms: int


def run(arguments: Arguments) -> int:
    """Print what was found; exits 1 if something failed."""
    scene = Scene(endpoint.locate(), os.environ)
    hidden = secrets(scene.locations, os.environ)
    rows = [_redacted(_row(check, scene, may_fix="fix" in arguments.flags), hidden) for check in CHECKS]
    if "json" in arguments.flags:
        print(json.dumps(_document(rows), ensure_ascii=False))
    else:
        print(plain("\n".join(_lines(rows))))
    return FAILED if any(row.finding.status == "failed" for row in rows) else OK


def _row(check: Check, scene: Scene, *, may_fix: bool) -> Row:
    started = monotonic()
    finding = _look(check, scene)
    if may_fix and finding.repair is not None:
        finding = _repaired(check, scene, finding)
    return Row(check, finding, int((monotonic() - started) * 1000))


def _look(check: Check, scene: Scene) -> Finding:
    try:
        return check.look(scene)
    except CommandFailed as failure:
        return Finding("failed", f"cannot be checked: {failure.message}")
    except OSError as error:
        return Finding("failed", f"cannot be checked: {error.strerror}: {error.filename or ''}".rstrip(": "))


def _repaired(check: Check, scene: Scene, finding: Finding) -> Finding:
    """Do what the finding offers, and look again."""
    assert finding.repair is not None
    try:
        done = finding.repair()
    except OSError as error:
        return finding._replace(details=(*finding.details, f"could not be repaired: {error.strerror}"))
    again = _look(check, scene)
    return again._replace(details=(*again.details, f"repaired: {done}"))


def _redacted(row: Row, hidden: frozenset[str]) -> Row:
    status, summary, details, remediation, _ = row.finding
    details = tuple(redact(detail, hidden) for detail in details)
    said = Finding(status, redact(summary, hidden), details, redact(remediation, hidden))
    return row._replace(finding=said)


def _document(rows: list[Row]) -> dict[str, object]:
    checks = {
        row.check.id: {
            "status": row.finding.status,
            "summary": row.finding.summary,
            "details": row.finding.details,
            "remediation": row.finding.remediation or None,
            "durationMs": row.duration_ms,
        }
        for row in rows
    }
    return {"schemaVersion": SCHEMA_VERSION, "checks": checks}


def _lines(rows: list[Row]) -> list[str]:
    """Give the rows as text: details where something is wrong, was repaired, or is what was asked for."""
    lines: list[str] = []
    group = ""
    for check, finding, _ in rows:
        if check.group != group:
            lines.extend(["", check.group] if group else [check.group])
            group = check.group
        lines.append(f"  {_MARKS[finding.status]} {finding.summary}")
        lines.extend(f"       {detail}" for detail in _shown_details(check, finding))
        if finding.remediation:
            lines.append(f"       fix: {finding.remediation}")
    return [*lines, "", _verdict(rows)]


def _shown_details(check: Check, finding: Finding) -> tuple[str, ...]:
    if check.id == "settings" or finding.status != "ok":
        return tuple(detail for detail in finding.details if detail not in finding.summary)
    return tuple(detail for detail in finding.details if detail.startswith("repaired: "))


def _verdict(rows: list[Row]) -> str:
    counts = {mark: sum(row.finding.status == status for row in rows) for status, mark in _MARKS.items()}
    return ", ".join(f"{count} {mark}" for mark, count in counts.items() if count)
