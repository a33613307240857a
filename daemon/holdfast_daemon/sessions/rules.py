"""Standing answers: rules people left behind, in one session or in every session of a directory."""

from secrets import token_hex

from holdfast_daemon.execution.gate import StandingRule
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.store import RuleRow
from holdfast_protocol.errors import InvalidParams, Overloaded
from holdfast_protocol.methods.request import Rule

RULES_MAX = 10_000

MATCH_CHARACTERS_MAX = 4096
"""A longer command is allowed once, or each time anew: nobody recognises it in a list."""


class Rules:
    """All rules of the daemon, in memory; written with the answers that make them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: dict[str, RuleRow] = {}

    async def load(self) -> None:
        """Read them from the store."""
        self._rows = {row.rule: row for row in await self._journal.query(self._journal.store.rules)}

    def make(
        self,
        *,
        allow: bool,
        tool: str,
        hosted: bool,
        match: str | None,
        session: str | None,
        cwd: str,
        by: str,
    ) -> RuleRow:
        """Give a rule to be written with an answer; `add` it when that is durable.

        Raises:
            InvalidParams: what it would cover is too long.
            Overloaded: there are too many.
        """
        if match is not None and len(match) > MATCH_CHARACTERS_MAX:
            message = f"A standing answer covers at most {MATCH_CHARACTERS_MAX} characters; answer once."
            raise InvalidParams(
                message, path="$.scope", limit="match_characters_max", limit_value=MATCH_CHARACTERS_MAX
            )
        if len(self._rows) >= RULES_MAX:
            raise Overloaded("Too many rules.", limit="rules_max", limit_value=RULES_MAX)
        decision = "allow" if allow else "deny"
        at = self._journal.now()
        return RuleRow(f"rule-{token_hex(6)}", decision, tool, hosted, match, session, cwd, by, at)

    def add(self, row: RuleRow) -> None:
        """Let a rule hold from now on."""
        self._rows[row.rule] = row

    async def remove(self, rule_id: str) -> bool:
        """Drop a rule; False if there is none."""
        if rule_id not in self._rows:
            return False
        await self._journal.execute(self._journal.store.remove_rule, rule_id)
        self._rows.pop(rule_id, None)
        return True

    async def forget(self, session_id: str) -> None:
        """Drop the rules of a session that is deleted."""
        for row in [row for row in self._rows.values() if row.session == session_id]:
            await self.remove(row.rule)

    def standing(self, session_id: str, cwd: str) -> list[StandingRule]:
        """Give the rules that hold in a session."""
        return [
            StandingRule(row.decision, row.tool, row.match, hosted=row.hosted)
            for row in self._holding(session_id, cwd)
        ]

    def list(self, session_id: str | None, cwd: str | None) -> tuple[Rule, ...]:
        """Give rules as clients see them: all, or those that hold in a session."""
        if session_id is None or cwd is None:
            rows = list(self._rows.values())
        else:
            rows = self._holding(session_id, cwd)
        return tuple(
            Rule(
                rule_id=row.rule,
                decision=row.decision,
                tool=row.tool,
                hosted=row.hosted,
                match=row.match,
                session_id=row.session,
                cwd=row.cwd if row.session is None else None,
                by=row.by,
                created_at=row.at,
            )
            for row in rows
        )

    def _holding(self, session_id: str, cwd: str) -> "list[RuleRow]":
        return [
            row
            for row in self._rows.values()
            if (row.session == session_id if row.session is not None else row.cwd == cwd)
        ]
