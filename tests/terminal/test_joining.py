"""What a person who joins is shown of the past."""

from told import asked, completed

from holdfast_client.terminal.joining import PROMPTS_MAX, last_prompts


def test_a_long_history_begins_with_one_of_its_last_prompts():
    history = [event for number in range(3 * PROMPTS_MAX) for event in (asked(f"p{number}"), completed())]
    kept = last_prompts(history)
    assert kept == history[-2 * PROMPTS_MAX :]
    assert kept[0] == asked(f"p{2 * PROMPTS_MAX}")


def test_a_short_history_is_whole():
    history = [completed(), asked("one"), completed()]
    assert last_prompts(history) == history
    assert last_prompts([]) == []
