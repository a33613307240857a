"""How an unfinished run is closed after the daemon stopped under it. Pure.

Every open block and tool call gets its end, marked partial, and the run its one terminal event. Text that
was seen is kept. A tool that had started and has no outcome is unknown: it is never run again by itself.
"""

from holdfast_protocol import events
from holdfast_protocol.snapshot import Child
from holdfast_protocol.view import OpenText, View


def closing_events(view: View, cause: str) -> tuple[events.Event, ...]:
    """Give the events that close the current run of a view as interrupted; none without a run."""
    run = view.run
    if run is None:
        return ()
    blocks = tuple(_end_of_block(run.run_id, block) for block in run.blocks.values())
    agents = tuple(_end_of_agent(run.run_id, child) for child in view.children.values())
    calls = tuple(_end_of_call(run.run_id, call) for call in run.tool_calls.values())
    requests = tuple(
        events.RequestResolved(run_id=run.run_id, request_id=name, outcome="cancelled", by="daemon")
        for name, request in view.requests.items()
        if request.run_id == run.run_id
    )
    terminal = events.RunInterrupted(run_id=run.run_id, cause=cause, usage=run.usage)
    return (*blocks, *agents, *calls, *requests, terminal)


def waits_for_people(view: View) -> bool:
    """Tell whether nothing of the current run was in flight but open requests: then it waits on."""
    run = view.run
    if run is None or run.blocks or run.tool_calls:
        return False
    return any(request.run_id == run.run_id for request in view.requests.values())


def _end_of_block(run_id: str, block: OpenText) -> events.ContentBlockEnd:
    start = block.start
    return events.ContentBlockEnd(
        run_id=run_id,
        block_id=start.block_id,
        message_id=start.message_id,
        step=start.step,
        kind=start.kind,
        text=block.text(),
        tool_call_id=start.tool_call_id,
        tool=start.tool,
        partial=True,
    )


def _end_of_agent(run_id: str, child: Child) -> events.AgentFailed:
    error = events.ErrorInfo(kind="interrupted", message="The run it worked for was interrupted.")
    return events.AgentFailed(run_id=run_id, agent=child.agent, error=error, session_id=child.session_id)


def _end_of_call(run_id: str, call: OpenText) -> events.ToolCallFailed:
    error = events.ErrorInfo(
        kind="unknown",
        message="The daemon stopped while the tool ran; whether it took effect is not known.",
    )
    return events.ToolCallFailed(
        run_id=run_id, tool_call_id=call.start.tool_call_id, error=error, partial=call.text() or None
    )
