"""The settings: whether they can be used, and where each value comes from that is not a default."""

from typing import Final

from holdfast_client.shell.diagnosis.check import Check, Finding, Scene
from holdfast_protocol.settings.key import shown
from holdfast_protocol.settings.resolve import KEYS, Setting, meant

_OTHER_VARIABLES: Final = frozenset({"HOLDFAST_HOME", "HOLDFAST_DAEMON"})
"""Variables that are no settings: where the directories are, and which program is the daemon."""


def _settings(scene: Scene) -> Finding:
    found = scene.settings
    if isinstance(found, tuple):
        count = "one mistake" if len(found) == 1 else f"{len(found)} mistakes"
        fix = "correct it, or take it out with `holdfast config unset KEY`"
        if not found[0].key:
            fix = f"correct {found[0].place}; `holdfast config` changes no file that it cannot read"
        return Finding("failed", f"{count}: {found[0]}", tuple(map(str, found)), fix)
    changed = [setting for setting in found.values() if setting.origin.layer != "default"]
    details = tuple(map(_said, changed))
    if not changed:
        return Finding("ok", "all settings have their defaults", (f"file: {scene.locations.file}",))
    count = "1 setting is" if len(changed) == 1 else f"{len(changed)} settings are"
    return Finding("ok", f"{count} not the default", details)


def _said(setting: Setting) -> str:
    key, value, origin = setting
    return f"{key.name} = {shown(value)} (default {shown(key.default)}), from {origin.place}"


def _variables(scene: Scene) -> Finding:
    known = _OTHER_VARIABLES | {key.variable for key in KEYS.values() if key.variable}
    ours = sorted(name for name in scene.environ if name.startswith("HOLDFAST_"))
    strange = [name for name in ours if name not in known]
    if strange:
        summary = f"no setting is called {strange[0]}{meant(strange[0], known)}"
        details = tuple(f"{name}{meant(name, known)}" for name in strange)
        return Finding("warning", summary, details, "correct the variable's name, or unset it")
    return Finding("ok", f"{', '.join(ours)} set, all known" if ours else "no HOLDFAST_ variable is set")


CHECKS: Final = (
    Check("settings", "Configuration", _settings),
    Check("variables", "Configuration", _variables),
)
