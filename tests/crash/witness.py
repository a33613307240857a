"""What one client knows of one session, carried over the deaths of the daemons that told it."""

import json
import random
from collections import Counter
from typing import Any

from log_rules import check_run
from wire_client import TERMINAL, Client, Log

UNMERGED = "script:\n  - interleave: {blocks: 4, count: 100000, per_second: 3000, text: 'tick \U0001f642 '}\n"

MERGED = """script:
  - thinking: {value: "Let me see. ", delta_chars: 3, repeat: 20, signature: c2ln}
    text: {value: "All work and no play. ", delta_chars: 4, delay_ms: 1, repeat: 5000}
"""

CALLS = """script:
  - repeat: 150
    steps:
      - text: I look.
        call: [{tool: read, input: {path: one.txt}}, {tool: read, input: {path: none.txt}}]
"""

SCRIPTS = (UNMERGED, MERGED, CALLS, "say nothing much")
"""What prompts ask for. The last is over before the daemon dies, mostly."""


class Witness:
    """One session's witness. It sends prompts, remembers which were answered, and compares.

    Args:
        log: the session's, as subscribed to.
        chance: decides what it does next.
    """

    def __init__(self, log: Log, chance: random.Random) -> None:
        self.log = log
        self.events: list[dict[str, Any]] = []
        self.last: str | None = None  # The type of the last event that began or ended a run.
        self._due = 0  # The last seq an answer spoke of: the events up to it are on their way.
        self._seen = 0  # Events that came from earlier daemons.
        self._chance = chance
        self._prompts = 0
        self._answered: set[str] = set()  # Prompts whose admission was confirmed.
        self._unanswered: tuple[str, str] | None = None  # Sent; the daemon died before it answered.

    @property
    def session_id(self) -> str:
        return self.log.session_id

    @property
    def running(self) -> bool:
        """Whether a run is under way, as far as answers and events told."""
        self.look()
        return self.log.cursor < self._due or self.last == "run_started"

    def look(self) -> None:
        """Take in what the log has got."""
        for body in self.log.bodies[len(self.events) :]:
            event = json.loads(body)
            self.events.append(event)
            if event["type"] == "run_started" or event["type"] in TERMINAL:
                self.last = event["type"]

    async def subscribe(self, client: Client) -> None:
        """Go on from the old cursor, in the old epoch."""
        self._due = 0
        self._seen = len(self.events)
        await client.resume(self.log)

    def check(self) -> None:
        """Check what is known, once it is caught up: nothing confirmed is lost, the last run has its end."""
        self.look()
        received = {event["promptId"] for event in self.events if event["type"] == "prompt_received"}
        assert self._answered <= received, "a prompt that was answered is lost"
        ended = [event["runId"] for event in self.events if event["type"] in TERMINAL]
        if ended:
            check_run([event for event in self.events if event.get("runId") == ended[-1]])
        for event in self.events[: self._seen]:
            assert event["type"] != "run_started" or event["runId"] in ended, "a dead run is not ended"

    async def act(self, client: Client, tally: Counter[str]) -> None:
        """Have the session run, if it does not."""
        if self._unanswered is not None:
            tally["prompts sent again"] += 1
            await self._prompt(client, *self._unanswered)
        if self.running:
            pass
        elif self.last == "run_interrupted" and (await self._queue(client) or self._chance.random() < 0.4):
            tally["continued"] += 1
            await self.continue_run(client)
        else:
            await self._prompt_anew(client)
        if self._chance.random() < 0.2:  # It waits behind the other.
            await self._prompt_anew(client)

    async def continue_run(self, client: Client) -> str:
        result = await client.call("session/continue", sessionId=self.session_id)
        self._due = result["seq"]
        return result["runId"]

    async def _queue(self, client: Client) -> list[Any]:
        result = await client.call("session/get", sessionId=self.session_id)
        return result["snapshot"].get("queue", [])

    async def _prompt_anew(self, client: Client) -> None:
        self._prompts += 1
        await self._prompt(client, f"p{self._prompts}", self._chance.choice(SCRIPTS))

    async def _prompt(self, client: Client, prompt_id: str, text: str) -> None:
        self._unanswered = (prompt_id, text)
        result = await client.prompt(self.session_id, text, promptId=prompt_id)
        self._due = result["seq"]
        self._unanswered = None
        self._answered.add(prompt_id)
