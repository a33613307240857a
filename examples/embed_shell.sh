#!/bin/sh
# Embed holdfast in a shell script: a daemon of the script's own, one run, and the log of what happened.
#
#     sh examples/embed_shell.sh DIRECTORY "PROMPT"
set -eu

HOLDFAST_HOME=$(mktemp -d)
export HOLDFAST_HOME
trap 'holdfast stop --now >/dev/null 2>&1 || :; rm -rf "$HOLDFAST_HOME"' EXIT

cd "$1"

# `holdfast run` starts the daemon. The answer goes to standard output; the exit code says how the run ended.
if text=$(holdfast run "$2" 2>"$HOLDFAST_HOME/progress"); then
    printf 'answer: %s\n' "$text"
else
    status=$?
    printf 'the run ended with exit code %s\n' "$status"
fi
holdfast stop >/dev/null

# The same log, read by a private daemon that lives for as long as its input: one JSON object per line.
# Both ends have to be pipes.
cat <<'END' | holdfastd --stdio --state "$HOLDFAST_HOME/state" | cat
{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocol":"holdfast","versions":[1],"client":{"id":"embed-shell"}}}
{"jsonrpc":"2.0","id":2,"method":"session/list","params":{"limit":1}}
END
exit "${status:-0}"
