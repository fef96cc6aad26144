#!/bin/bash
# Becomes git-sync ("$@").
set -euo pipefail

# A Git that was killed leaves its locks behind, and git-sync would wait for them for ever.
shopt -s globstar nullglob
rm -f "$GITSYNC_ROOT"/.git/**/*.lock "$PUBLISHED"/**/*.lock

# With a webhook it also fetches at once for each line that the webhook writes into a pipe. A pipe, and not
# a signal from the webhook's container: for that the containers would have to see each other's processes,
# and with them git-sync's environment and, under /proc/PID/root, its login.
if [ -n "${ANNOUNCED-}" ]; then
    trap '' HUP # or one that comes before git-sync listens would end it
    [ -p "$ANNOUNCED" ] || mkfifo "$ANNOUNCED"
    {
        exec 3<>"$ANNOUNCED" # for writing too: the pipe stays open when the webhook closes it
        while read -r _ <&3; do kill -HUP $$; done
    } &
fi
exec "$@"
