#!/bin/bash
# Becomes git-sync ("$@"), and makes it fetch at once for each line that the webhook writes into a pipe.
# A pipe, and not a signal from the webhook's container: for that the containers would have to see each
# other's processes, and with them git-sync's environment and, under /proc/PID/root, its login.
set -euo pipefail

trap '' HUP # or one that comes before git-sync listens would end it
[ -p "$ANNOUNCED" ] || mkfifo "$ANNOUNCED"
{
    exec 3<>"$ANNOUNCED" # for writing too: the pipe stays open when the webhook closes it
    while read -r _ <&3; do kill -HUP $$; done
} &
exec "$@"
