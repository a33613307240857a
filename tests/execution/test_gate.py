"""What a tool call may do without asking (design.md section 7; failures.md section 2, "Approvals")."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.execution.gate import (
    EDITING,
    READ_ONLY,
    Decision,
    GateCall,
    StandingRule,
    decide,
    takes_always,
)

ALLOW, DENY, ASK = Decision.ALLOW, Decision.DENY, Decision.ASK

KINDS = ("read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other")

READING_KINDS = {"read", "search", "think"}

MODES = ("plan", "ask", "accept_edits", "auto")

KIND_OF = {
    "read": "read",
    "list": "read",
    "glob": "search",
    "grep": "search",
    "todo": "think",
    "write": "edit",
    "edit": "edit",
    "shell": "execute",
    "fetch": "fetch",
    "mystery": "other",
}


def builtin(tool, match=None):
    return GateCall(tool, KIND_OF[tool], match, hosted=False)


def hosted(tool, kind, match=None):
    return GateCall(tool, kind, match, hosted=True)


def rule(decision, tool="shell", match=None, *, about_hosted=False):
    return StandingRule(decision, tool, match, hosted=about_hosted)


def decision(call, mode, *rules, sandboxed=False):
    return decide(call, mode, rules, sandboxed=sandboxed).decision


TABLE = {
    # tool: plan, ask, accept_edits, auto without a sandbox, auto with one
    "read": (ALLOW, ALLOW, ALLOW, ALLOW, ALLOW),
    "list": (ALLOW, ALLOW, ALLOW, ALLOW, ALLOW),
    "glob": (ALLOW, ALLOW, ALLOW, ALLOW, ALLOW),
    "grep": (ALLOW, ALLOW, ALLOW, ALLOW, ALLOW),
    "todo": (ALLOW, ALLOW, ALLOW, ALLOW, ALLOW),
    "write": (DENY, ASK, ALLOW, ALLOW, ALLOW),
    "edit": (DENY, ASK, ALLOW, ALLOW, ALLOW),
    "shell": (DENY, ASK, ASK, ASK, ALLOW),
    "fetch": (DENY, ASK, ASK, ALLOW, ALLOW),
    "mystery": (DENY, ASK, ASK, ALLOW, ALLOW),
}


@pytest.mark.parametrize("tool", TABLE)
def test_each_built_in_tool_in_each_mode(tool):
    plan, ask, accept_edits, auto, auto_sandboxed = TABLE[tool]
    call = builtin(tool)
    assert decision(call, "plan") is plan
    assert decision(call, "plan", sandboxed=True) is plan
    assert decision(call, "ask") is ask
    assert decision(call, "ask", sandboxed=True) is ask
    assert decision(call, "accept_edits") is accept_edits
    assert decision(call, "accept_edits", sandboxed=True) is accept_edits
    assert decision(call, "auto") is auto
    assert decision(call, "auto", sandboxed=True) is auto_sandboxed


def test_the_table_is_of_the_tools_the_gate_knows():
    assert set(TABLE) > READ_ONLY | EDITING


@pytest.mark.parametrize("kind", KINDS)
def test_a_hosted_tool_is_judged_by_its_kind_whatever_its_name(kind):
    for tool in ("read", "write", "edit", "shell", "anything"):
        call = hosted(tool, kind)
        reads = kind in READING_KINDS
        assert decision(call, "plan") is (ALLOW if reads else DENY)
        assert decision(call, "ask") is (ALLOW if reads else ASK)
        assert decision(call, "accept_edits") is (ALLOW if reads else ASK), "edits inside the roots are ours"
        assert decision(call, "auto") is (ASK if kind == "execute" else ALLOW)
        assert decision(call, "auto", sandboxed=True) is (ASK if kind == "execute" else ALLOW)


@pytest.mark.parametrize("mode", MODES)
def test_a_deny_rule_stops_a_call_in_every_mode_even_one_that_only_reads(mode):
    for tool in KIND_OF:
        assert decision(builtin(tool), mode, rule("deny", tool), sandboxed=True) is DENY


@pytest.mark.parametrize("mode", ["ask", "accept_edits", "auto"])
def test_an_allow_rule_spares_the_question(mode):
    for tool in KIND_OF:
        assert decision(builtin(tool), mode, rule("allow", tool)) is ALLOW


def test_deny_beats_allow_in_either_order_and_whatever_each_names():
    call = builtin("shell", "make test")
    for one, two in product((None, "make test"), repeat=2):
        allow, deny = rule("allow", match=one), rule("deny", match=two)
        assert decision(call, "ask", allow, deny) is DENY
        assert decision(call, "auto", deny, allow, sandboxed=True) is DENY


def test_an_allowance_without_a_match_covers_no_command():
    assert decision(builtin("shell", "make test"), "ask", rule("allow")) is ASK
    assert (
        decision(hosted("reboot", "execute", "{}"), "ask", rule("allow", "reboot", about_hosted=True)) is ASK
    )


def test_a_rule_about_a_clients_tool_is_not_about_ours_of_that_name_nor_the_other_way_round():
    for about_hosted in (True, False):
        allow = rule("allow", "write", about_hosted=about_hosted)
        assert decision(builtin("write"), "ask", allow) is (ASK if about_hosted else ALLOW)
        assert decision(hosted("write", "edit"), "ask", allow) is (ALLOW if about_hosted else ASK)


def test_plan_mode_is_before_all_rules():
    for tool in ("write", "edit", "shell", "fetch", "mystery"):
        verdict = decide(builtin(tool), "plan", [rule("allow", tool)], sandboxed=True)
        assert verdict.decision is DENY
        assert "Plan mode" in verdict.reason


def test_a_rule_about_one_command_covers_no_other():
    allow = rule("allow", match="echo one")
    assert decision(builtin("shell", "echo one"), "ask", allow) is ALLOW
    for other in ("echo one ", " echo one", "echo one; rm -rf .", "echo one\n", "ECHO ONE", "echo", "", None):
        assert decision(builtin("shell", other), "ask", allow) is ASK


def test_a_rule_about_one_tool_covers_no_other():
    for tool in ("edit", "Write", "write ", "writer"):
        call = GateCall(tool, "edit", None, hosted=False)
        assert decision(call, "ask", rule("allow", "write")) is ASK
        assert decision(call, "ask", rule("deny", "write")) is ASK


def test_a_refusal_says_why_and_an_allowance_nothing():
    assert decide(builtin("shell"), "ask", [rule("deny")], sandboxed=False).reason == "A rule denies shell."
    assert decide(builtin("read"), "ask", [], sandboxed=False).reason == ""


def test_only_what_nothing_confines_takes_no_answer_for_good():
    for kind in KINDS:
        assert takes_always(hosted("x", kind), sandboxed=False) is (kind != "execute")
        assert takes_always(hosted("x", kind), sandboxed=True) is (kind != "execute")
    assert not takes_always(builtin("shell"), sandboxed=False)


names = st.sampled_from([*KIND_OF, "other_tool"])
matches = st.one_of(st.none(), st.sampled_from(["a", "b"]))
calls = st.one_of(
    st.builds(builtin, st.sampled_from(list(KIND_OF)), matches),
    st.builds(hosted, names, st.sampled_from(KINDS), matches),
)
rules = st.lists(
    st.builds(StandingRule, st.sampled_from(["allow", "deny"]), names, matches, hosted=st.booleans()),
    max_size=6,
)


def covers(standing, call):
    if (standing.tool, standing.hosted) != (call.tool, call.hosted):
        return False
    return standing.match == call.match or (standing.decision == "deny" and standing.match is None)


@given(calls, st.sampled_from(MODES), rules, st.booleans())
def test_nothing_runs_unless_a_mode_or_a_rule_says_so(call, mode, standing, sandboxed):
    verdict = decision(call, mode, *standing, sandboxed=sandboxed)
    held = [item for item in standing if covers(item, call)]
    if any(item.decision == "deny" for item in held):
        assert verdict is DENY
    elif not held:
        assert verdict is decision(call, mode, sandboxed=sandboxed)
    elif mode != "plan":
        assert verdict is ALLOW


@given(calls, st.sampled_from(MODES), rules, st.booleans())
def test_the_order_of_rules_does_not_matter(call, mode, standing, sandboxed):
    forwards = decision(call, mode, *standing, sandboxed=sandboxed)
    assert forwards is decision(call, mode, *reversed(standing), sandboxed=sandboxed)


@given(calls, rules)
def test_plan_mode_lets_nothing_through_that_changes_something(call, standing):
    if decision(call, "plan", *standing, sandboxed=True) is ALLOW:
        assert call.kind in READING_KINDS if call.hosted else call.tool in READ_ONLY


@given(calls, rules, st.booleans())
def test_a_wider_mode_never_asks_where_a_narrower_one_lets_through(call, standing, sandboxed):
    order = {DENY: 0, ASK: 1, ALLOW: 2}
    found = [order[decision(call, mode, *standing, sandboxed=sandboxed)] for mode in MODES]
    assert found == sorted(found)
