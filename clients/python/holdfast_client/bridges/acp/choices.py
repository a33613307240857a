"""What a person can choose in an editor (modes and options) and what that is in a session's settings."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, cast, get_args

from holdfast_client.bridges.acp.refusals import bad_params
from holdfast_protocol.events import Mode, Thinking
from holdfast_protocol.foreign.acp import sessions
from holdfast_protocol.methods.catalogue import ModelInfo

_MODES: Final[dict[Mode, tuple[str, str]]] = {
    "ask": ("Ask", "Reading runs by itself; everything else asks"),
    "accept_edits": ("Accept edits", "Changes to files inside the session's directories run too"),
    "plan": ("Plan", "Only reading; ends with a plan to approve"),
    "auto": ("Auto", "Everything runs without asking"),
}

_THINKING: Final[dict[Thinking, str]] = {"off": "Off", "low": "Low", "medium": "Medium", "high": "High"}

MODE, MODEL, THOUGHT = "mode", "model", "thought_level"
"""Ids of the options; their categories are called the same."""


class Chosen(NamedTuple):
    """What a session's settings say about what can be chosen."""

    mode: Mode = "ask"
    model: str = ""
    thinking: Thinking = "off"


def mode_state(chosen: Chosen) -> sessions.ModeState:
    """Give the modes, for editors that know no options."""
    modes = tuple(
        sessions.Mode(id=mode, name=name, description=what) for mode, (name, what) in _MODES.items()
    )
    return sessions.ModeState(current_mode_id=chosen.mode, available_modes=modes)


def options(chosen: Chosen, models: Iterable[ModelInfo]) -> tuple[sessions.SelectOption, ...]:
    """Give all options as they are. The chosen model is among them, also if nobody lists it any more."""
    modes = tuple(_choice(mode, name, what) for mode, (name, what) in _MODES.items())
    known = [_choice(model.name, model.name, model.description) for model in models]
    if chosen.model not in {choice.value for choice in known}:
        known.insert(0, _choice(chosen.model, chosen.model))
    levels = tuple(_choice(level, name) for level, name in _THINKING.items())
    return (
        _option(MODE, "Mode", chosen.mode, modes),
        _option(MODEL, "Model", chosen.model, tuple(known)),
        _option(THOUGHT, "Thinking", chosen.thinking, levels),
    )


def mode_of(mode_id: str) -> Mode:
    """Give a mode by its id.

    Raises:
        Refusal: there is none.
    """
    if mode_id not in _MODES:
        raise bad_params(f"There is no mode {mode_id!r}: {', '.join(_MODES)}.")
    return mode_id


def change_of(config_id: str, value: Any) -> dict[str, str]:
    """Give the change of settings that an option's new value is: one keyword of `Session.update`.

    Raises:
        Refusal: there is no such option, or it has no such value. Whether there is a model the daemon knows.
    """
    if config_id not in (MODE, MODEL, THOUGHT):
        raise bad_params(f"There is no option {config_id!r}.")
    if not isinstance(value, str) or not value:
        raise bad_params(f"The option {config_id!r} takes one of its values.")
    if config_id == MODE:
        return {"mode": mode_of(value)}
    if config_id == MODEL:
        return {"model": value}
    if value not in get_args(Thinking):
        raise bad_params(f"The option {config_id!r} takes {', '.join(_THINKING)}.")
    return {"thinking": value}


def after(chosen: Chosen, change: dict[str, str]) -> Chosen:
    """Give what is chosen after a change."""
    return chosen._replace(**cast("dict[str, Any]", change))


def _choice(value: str, name: str, description: str | None = None) -> sessions.Choice:
    return sessions.Choice(value=value, name=name, description=description)


def _option(
    option_id: str, name: str, value: str, choices: tuple[sessions.Choice, ...]
) -> sessions.SelectOption:
    return sessions.SelectOption(
        id=option_id, name=name, current_value=value, options=choices, category=option_id
    )
