"""Embed holdfast in a plain program: a private daemon whose sessions are there the next time.

python examples/embed_blocking.py STATE_DIRECTORY DIRECTORY "PROMPT"
"""

import sys

from holdfast_client import blocking


def main(state: str, directory: str, prompt: str) -> int:
    """Run one prompt, print its text, and list the sessions so far; the exit code says how it went."""
    with blocking.connect("spawn", state=state, require="holdfast>=0.1,<0.2") as client:
        result = client.run(prompt, cwd=directory)
        print(result.text)
        for info in client.sessions():
            print(f"{info.session_id}: {info.status}, {info.head} events")
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
