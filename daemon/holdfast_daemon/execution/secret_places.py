"""Places of a machine and of a home that no command needs and that open other doors: keys, sessions, sockets.

A list can only name what is common. It stands beside the network that is off and the system call filter that
lets nobody open a unix socket, not in place of them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_OF_A_HOME: Final = (
    # Keys of people and machines.
    ".ssh",
    ".gnupg",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".vault-token",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".config/op",
    ".1password",
    # Clouds and clusters.
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/doctl",
    ".kube",
    ".docker",
    ".config/containers",
    ".local/share/containers",
    ".terraform.d",
    # Browsers and mail, with their sessions.
    ".mozilla",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    ".config/opera",
    "snap/firefox",
    "snap/chromium",
    ".var/app",
    # Other agents, with their keys.
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".config/opencode",
    ".local/share/opencode",
    ".config/goose",
    ".config/github-copilot",
    # What people typed.
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".local/share/fish/fish_history",
)

_OF_THE_MACHINE: Final = (
    "/run/user",
    "/run/dbus",
    "/run/docker.sock",
    "/run/docker",
    "/run/containerd",
    "/run/podman",
    "/run/crio",
    "/run/libvirt",
    "/run/snapd.socket",
    "/run/snapd-snap.socket",
    "/run/systemd/private",
    "/run/secrets",
    "/var/run/secrets",
    "/etc/shadow",
    "/etc/gshadow",
)

_SOCKET_VARIABLES: Final = ("SSH_AUTH_SOCK", "GPG_AGENT_INFO", "XDG_RUNTIME_DIR", "DOCKER_HOST")


def secret_places(home: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the places to hide, absolute; they need not exist.

    Args:
        home: of the user the daemon runs as.
        environ: the daemon's own; it may name an agent's socket.
    """
    named = (environ.get(name, "").removeprefix("unix://").split(":")[0] for name in _SOCKET_VARIABLES)
    return (
        *(str(home / place) for place in _OF_A_HOME),
        *_OF_THE_MACHINE,
        *(place for place in named if os.path.isabs(place) and os.path.dirname(place) != "/"),  # noqa: PTH117, PTH120 - words, not files
    )
