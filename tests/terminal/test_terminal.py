"""The interactive terminal as a person sees it: driven by tmux, against the real daemon."""

import json
import os
import re
import select
import signal

import pytest
from tmux_world import WAIT_S, People, Terminal

READY = "/help"
"""The end of the last line; where it does not fit, the model stands there."""

SLOW = (
    'script:\n  - text: {value: "tick tock ", repeat: 10000, delta_chars: 5, delay_ms: 50}\n  - text: Over.\n'
)
TURNS = """\
script:
  - text: {value: "tick tock ", repeat: 8, delta_chars: 5, delay_ms: 50}
    call: {tool: list, input: {}}
  - text: {value: "tock tick ", repeat: 10000, delta_chars: 5, delay_ms: 50}
"""


def last_lines(screen: str, count: int) -> list[str]:
    return screen.rstrip("\n").splitlines()[-count:]


def columns(line: str) -> int:
    """How wide a line is; the tests' wide characters are these."""
    return len(line) + sum(character in "世界你好🎉" for character in line)


def test_a_prompt_is_answered_in_markdown_and_closed_with_time_tokens_and_cost(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see("offline/rehearsal is not an AI", READY)
        terminal.enter("say some **bold** words")
        screen = terminal.see("some bold words", "completed after", "tokens in")
        assert "> say some **bold** words" in screen
        assert re.search(r"✓ completed after [\d.]+ m?s, about \d+ tokens in, \d+ out, \$0\.0000", screen)
        assert "\x1b[1mbold" in terminal.styled()


def test_a_prompt_of_the_command_line_is_sent_first(people: People) -> None:
    with Terminal(people, people.directory(), "holdfast 'say it at once'") as terminal:
        terminal.see("> say it at once", "\nit at once\n", "completed after", READY)


def test_an_edit_is_shown_before_it_is_allowed_by_a_key(people: People) -> None:
    cwd = people.directory()
    (cwd / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.enter("replace 'a - b' with 'a + b' in calc.py")
        screen = terminal.see("Allow edit calc.py?", "[y] Allow once", "[a] Always", "[n] Deny")
        assert "-    return a - b" in screen
        assert "+    return a + b" in screen
        assert "a - b" in (cwd / "calc.py").read_text()
        terminal.press("y")
        screen = terminal.see("allowed once: edit calc.py", "✓ edit calc.py  +1 -1", "completed after")
        assert "[y]" not in screen
        assert screen.count("-    return a - b") == 1
    assert "a + b" in (cwd / "calc.py").read_text()


def test_a_denial_takes_a_reason(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("run echo unwanted")
        terminal.see("[n] Deny")
        terminal.press("n")
        terminal.see("Deny: say why")
        terminal.enter("not on Sundays")
        screen = terminal.see("✗ run echo unwanted", "says: not on Sundays", "completed after")
        assert "exit code" not in screen


def test_what_begins_like_an_answer_is_a_message(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("run echo unwanted")
        terminal.see("[s] Allow in this session")
        terminal.enter("say something else")
        terminal.see("Queue (1, waiting)", "1 say something else", "[s] Allow in this session")
        terminal.press("C-c")
        terminal.see("cancelled by you")


def test_a_running_tool_shows_the_end_of_its_output(people: People) -> None:
    cwd = people.directory()
    os.mkfifo(cwd / "fifo")
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.enter("run for i in 1 2 3 4 5 6 7 8 9; do echo out$i; done; read x < fifo")
        terminal.see("[y]")
        terminal.press("y")
        screen = terminal.see("● run for i", "out9")
        assert "out5" not in screen
        (cwd / "fifo").write_text("go\n")
        terminal.see("✓ run for i", "exit code 0", "completed after")


def test_thinking_is_folded_and_unfolds(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("think deep thoughts")
        screen = terminal.see("Thought for", "completed after")
        assert not re.search(r"^  deep thoughts", screen, re.MULTILINE)
        terminal.press("C-t")
        terminal.see_that(lambda screen: re.search(r"^  deep thoughts", screen, re.MULTILINE) is not None)
        terminal.enter("/thinking")
        terminal.see("thinking is folded")


def test_a_plan_ticks_off(people: People) -> None:
    entries = (
        "[{content: one, priority: high, status: %s}, {content: two 世界, priority: low, status: pending}]"
    )
    script = (
        "script:\n"
        f"  - call: {{tool: todo, input: {{entries: {entries % 'in_progress'}}}}}\n"
        "  - call: {tool: shell, input: {command: 'true'}}\n"
        f"  - call: {{tool: todo, input: {{entries: {entries % 'completed'}}}}}\n"
        "  - text: Ready.\n"
    )
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.paste(script)
        terminal.see("Plan 0/2", "▸ one", "☐ two 世界", "Allow run true?")
        terminal.press("y")
        terminal.see("Ready.", "Plan 1/2", "✓ one", "☐ two 世界", "completed after")


def test_a_plan_made_in_plan_mode_is_asked_about(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("/mode plan")
        terminal.see("mode: plan", "offline/rehearsal · plan")
        terminal.enter("say First this, then that.")
        terminal.see("[1] Carry it out", "[3] Go on planning", "[4] Stop here")
        terminal.press("3")
        terminal.see("Go on planning: say why")
        terminal.enter("say Only this.")
        terminal.see(">> say Only this.", "\nOnly this.\n", "[4] Stop here")
        terminal.press("4")
        screen = terminal.see("answered: Stop here", "completed after")
        assert "[4]" not in screen


def test_one_ctrl_c_cancels_and_the_next_leaves(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.paste(SLOW)
        terminal.see("tick tock", "Ctrl-C cancels")
        terminal.press("C-c")
        terminal.see("cancelled by you after")
        terminal.press("C-c")
        terminal.see("nothing runs; Ctrl-C again leaves")
        terminal.press("C-c")
        terminal.see("Come back: holdfast attach", "EXIT 130")


@pytest.mark.parametrize("how", ["C-]", "C-d", "/detach"])
def test_a_person_leaves_and_comes_back_to_what_went_on(people: People, how: str) -> None:
    cwd = people.directory()
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.paste(SLOW)
        terminal.see("tick tock")
        if how.startswith("/"):
            terminal.enter(how)
        else:
            terminal.press(how)
        screen = terminal.see("Come back: holdfast attach ", "EXIT 0")
        assert "Ctrl-C cancels" not in screen
        come_back = re.search(r"Come back: (holdfast attach \w+)", screen)
        assert come_back is not None
    with Terminal(people, cwd, come_back[1]) as terminal:
        terminal.see("tick tock tick tock", "writing", "Ctrl-C cancels")
        terminal.press("C-c")
        terminal.see("cancelled by you")


def test_ctrl_square_bracket_leaves_also_with_a_line_half_typed_and_is_not_searched_for(
    people: People,
) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.type("half a line")
        terminal.see("> half a line")
        terminal.press("C-]", "h")  # As Emacs's keys: go to the next h.
        terminal.see("Come back: holdfast attach ", "EXIT 0")


def test_what_would_be_overwritten_unseen_is_said_before_it_is_allowed(people: People) -> None:
    cwd = people.directory()
    (cwd / "big.txt").write_text("x" * 1_500_000)
    (cwd / "crlf.txt").write_text("one\n")
    script = (
        "script:\n"
        '  - call: {tool: write, input: {path: big.txt, content: "gone\\n"}}\n'
        '  - call: {tool: write, input: {path: crlf.txt, content: "one\\r\\n"}}\n'
    )
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.paste(script)
        terminal.see("write big.txt  +1 -?", "replaces 1,500,000 bytes not shown here", "[n] Deny")
        terminal.press("n")
        terminal.see("Deny: say why")
        terminal.press("Enter")
        terminal.see("write crlf.txt  +1 -1", "-one", "+one<CR>", "[n] Deny")
        terminal.press("C-c")
        terminal.see("cancelled by you")


def test_a_key_shows_all_of_a_long_change_and_no_line_of_it_is_cut(people: People) -> None:
    wide = "x = 1" + " " * 100 + "; os.system(1)"
    content = "\\n".join([wide, *(f"line {number}" for number in range(400))])
    script = f'script:\n  - call: {{tool: write, input: {{path: a.py, content: "{content}\\n"}}}}\n'
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.paste(script)
        terminal.see("more lines; Ctrl-O shows them", "[y] Allow once")
        shown = terminal.everything().rpartition("write a.py  +401 -0")[2]
        assert "; os.system(1)" in shown
        assert "+line 399" not in shown
        terminal.press("C-o")
        terminal.see("+line 399", "[y] Allow once")
        shown = terminal.everything().rpartition("write a.py  +401 -0")[2]
        assert [f"+line {number}\n" in shown for number in range(400)] == [True] * 400
        terminal.press("C-c")
        terminal.see("cancelled by you")


def test_prompts_wait_steer_and_interrupt_while_it_works(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.paste(TURNS)
        terminal.see("tick tock")
        terminal.enter("say later")
        terminal.see("Queue (1, waiting)", "1 say later")
        terminal.enter("say latest")
        terminal.see("2 say latest")
        terminal.enter("/queue remove 1")
        terminal.see("Queue (1, waiting)", "1 say latest")
        terminal.type("say steered")
        terminal.press("C-s")
        terminal.see(">> say steered", "completed after", "> say latest")
        terminal.see_that(lambda screen: screen.count("completed after") == 2)
        terminal.enter("/queue")
        terminal.see("nothing waits")
        terminal.paste(SLOW)
        terminal.see("tick tock tick tock")
        terminal.enter("/interrupt say instead")
        terminal.see("cancelled by you", "> say instead", "\ninstead")


def test_a_run_that_failed_is_taken_up_and_the_queue_waits_for_that(people: People) -> None:
    script = """\
script:
  - text: {value: "tick tock ", repeat: 6, delta_chars: 5, delay_ms: 50}
    error: {kind: refused, message: Not today.}
"""
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.paste(script)
        terminal.see("tick tock")
        terminal.enter("say queued")
        terminal.see("error: Not today.", "✗ failed", "Queue (1, held, /continue goes on)")
        terminal.enter("/continue")
        terminal.see("the run is taken up again", "> say queued", "\nqueued\n")


def test_commands_tell_about_the_session(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("/help")
        terminal.see("/interrupt TEXT", "Ctrl-], Ctrl-D")
        terminal.enter("/model")
        terminal.see("* offline/rehearsal  Not an AI")
        terminal.enter("/usage")
        terminal.see("0 runs, 0 tokens in, 0 out, $0.0000")
        terminal.press("BTab")
        terminal.see("offline/rehearsal · plan")
        terminal.enter("/mode sideways")
        terminal.see("there is no mode 'sideways'")
        terminal.enter("/hepl")
        terminal.see("did you mean /help?")
        terminal.enter("/model nobody")
        terminal.see("not done: No such model: nobody.")


def test_sessions_are_listed_and_another_one_is_gone_to(people: People) -> None:
    cwd = people.directory()
    other = json.loads(
        people.run("run", "--format", "json", "--title", "Other", "say before", cwd=cwd).stdout
    )
    with Terminal(people, cwd, "holdfast --new") as terminal:
        terminal.see(READY)
        terminal.enter("/sessions")
        terminal.see(f"{other['sessionId'][:8]}  idle     Other")
        terminal.enter("/sessions Oth")
        terminal.see("> say before", "· Other")


def test_history_and_completion_help_typing(people: People) -> None:
    cwd = people.directory()
    (cwd / "notes.txt").write_text("a\nb\n")
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.enter("read @no")
        terminal.see("there is no file @no", "completed after")
        terminal.press("Up")
        terminal.see("> read @no\n")
        terminal.press("Tab")
        terminal.see("> read @notes.txt")
        terminal.press("Enter", "Enter")
        terminal.see("✓ read notes.txt", "> read notes.txt")
        terminal.type("/th")
        terminal.see("show or fold what the model thinks")
        terminal.press("Tab")
        terminal.see("> /thinking")
    lines = (people.path / "state" / "terminal-history").read_text().splitlines()
    assert json.dumps("read @no") in lines
    assert (people.path / "state" / "terminal-history").stat().st_mode & 0o777 == 0o600


def test_an_answer_given_elsewhere_closes_the_question_here(people: People) -> None:
    cwd = people.directory()
    with Terminal(people, cwd) as one, Terminal(people, cwd, "holdfast attach") as other:
        one.see(READY)
        other.see(READY)
        one.enter("run echo shared")
        one.see("[y] Allow once")
        other.see("[y] Allow once")
        other.press("y")
        screen = one.see("allowed once by terminal-", "exit code 0", "completed after")
        assert "[y]" not in screen


def test_a_daemon_that_dies_is_waited_for_and_the_rest_is_seen(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("say before")
        terminal.see("completed after")
        pid = json.loads(people.run("status", "--json").stdout)["server"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        terminal.see("reconnecting")
        terminal.enter("say after")
        terminal.see("\nafter\n")
        terminal.see_that(lambda screen: "reconnecting" not in screen)


def test_a_prompt_to_a_daemon_that_was_stopped_starts_one(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        assert people.run("stop").returncode == 0
        terminal.see("reconnecting")
        terminal.enter("say welcome back")
        terminal.see("1 to be sent")
        terminal.see("> say welcome back", "\nwelcome back\n", "completed after")


def test_a_session_that_is_deleted_ends_the_visit(people: People) -> None:
    cwd = people.directory()
    made = json.loads(people.run("run", "--format", "json", "say before", cwd=cwd).stdout)
    with Terminal(people, cwd, "holdfast attach") as terminal:
        terminal.see("> say before", READY)
        people.run("rm", "--force", made["sessionId"])
        terminal.see_that(lambda screen: "EXIT 0" in screen and "session ended" in screen, "the end")
        assert "Come back" not in terminal.screen()


def test_it_fits_80_columns_and_30_lines_and_leaves_a_clean_scrollback(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        for number in range(3):
            terminal.enter("help")
            terminal.see_that(
                lambda _, wanted=number: terminal.everything().count("completed after") > wanted
            )
        terminal.enter("say the end")
        terminal.see("\nthe end\n")
        screen = terminal.see_that(lambda screen: screen.count("completed after") == 2)
        everything = terminal.everything()
        assert max(map(len, everything.splitlines())) <= 80
        assert everything.count("> help") == 3
        assert everything.count(READY) == 1
        assert last_lines(screen, 1)[0].startswith("offline/rehearsal · ask · ")
        assert last_lines(screen, 2)[0].strip() == ">"


def test_a_narrow_window_wraps_words_and_keeps_wide_characters_whole(people: People) -> None:
    with Terminal(people, people.directory(), columns=40, rows=20) as terminal:
        terminal.see("rehearsal · ask")
        terminal.enter("say " + "世界你好 🎉 " * 12)
        terminal.see("completed after")
        everything = terminal.everything()
        assert max(columns(line) for line in everything.splitlines()) <= 40
        assert everything.count("🎉") == 24
        terminal.enter("run echo 世界")
        screen = terminal.see("Allow run echo 世界?", "[y] Allow once\n", "[n] Deny")
        assert max(columns(line) for line in screen.splitlines()) <= 40


def test_a_new_size_is_drawn_anew(people: People) -> None:
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        terminal.enter("say " + "word " * 30)
        terminal.see("completed after")
        terminal.type("typed")
        terminal.resize(50, 20)
        terminal.see("> typed", "✓ completed after")
        screen = terminal.see_that(lambda screen: screen.count("offline/rehearsal ·") == 1)
        assert max(map(len, screen.splitlines())) <= 50
        terminal.resize(100, 30)
        screen = terminal.see_that(lambda screen: any(len(line) > 80 for line in screen.splitlines()))
        assert screen.count("> typed") == 1
        assert screen.count("completed after") == 1
        terminal.resize(60, 6)
        terminal.see("> typed")


def test_no_color_is_heeded(people: People) -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;5;\d+)m")
    with Terminal(people, people.directory(), env={"NO_COLOR": "1"}) as terminal:
        terminal.see(READY)
        terminal.enter("run true")
        terminal.see("[y]")
        assert not colour.search(terminal.styled())
    with Terminal(people, people.directory()) as terminal:
        terminal.see(READY)
        assert colour.search(terminal.styled())


def test_escape_sequences_of_tools_and_models_are_not_obeyed(people: People) -> None:
    cwd = people.directory()
    (cwd / "evil.sh").write_text("printf '\\033]0;owned\\007\\033[2J\\033[31mred\\rover\\nline\\n'\n")
    with Terminal(people, cwd) as terminal:
        terminal.see(READY)
        terminal.enter("say kept")
        terminal.see("completed after")
        terminal.enter("run sh evil.sh")
        terminal.see("[y]")
        terminal.press("y")
        screen = terminal.see("exit code 0", "    over\n", "    line\n")
        assert "> say kept" in screen
        assert "owned" not in terminal._tmux("display-message", "-p", "#{pane_title}")


def test_a_dumb_terminal_gets_plain_lines(people: People) -> None:
    cwd = people.directory()
    people.run("run", "say earlier", cwd=cwd)
    with Terminal(people, cwd, "holdfast attach", env={"TERM": "dumb"}) as terminal:
        screen = terminal.see("> say earlier", "completed after")
        assert READY not in screen
    with Terminal(people, cwd, "holdfast attach --plain") as terminal:
        terminal.see("> say earlier", "completed after")


def read_to_the_end(descriptor: int) -> bytes:
    """Give what its writers write, until there are none."""
    received = b""
    while select.select([descriptor], [], [], WAIT_S)[0] and (chunk := os.read(descriptor, 65536)):
        received += chunk
    os.close(descriptor)
    return received


def test_a_hang_up_ends_it_quietly_and_leaves_the_run_alone(people: People) -> None:
    cwd = people.directory()
    os.mkfifo(cwd / "errors")
    errors = os.open(cwd / "errors", os.O_RDONLY | os.O_NONBLOCK)
    with Terminal(people, cwd, "holdfast 2>errors") as terminal:
        terminal.see(READY)
        terminal.paste(SLOW)
        terminal.see("tick tock")
    assert read_to_the_end(errors) == b""
    rows = json.loads(people.run("ps", "--json", cwd=cwd).stdout)
    found = [row for row in rows["sessions"] if row["cwd"] == str(cwd)]
    assert [row["status"] for row in found] == ["running"]
    people.run("cancel", found[0]["sessionId"])
