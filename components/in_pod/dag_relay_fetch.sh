#!/bin/bash
# Entrypoint of the relay: prepares the volume, then becomes git-sync ("$@").
set -euo pipefail

# Remove stale locks of a killed Git: git-sync would wait for them forever.
shopt -s globstar nullglob
rm -f "$GITSYNC_ROOT"/.git/**/*.lock "$PUBLISHED"/**/*.lock

# The combined tree does not outlive the pod, and the Git host may be down.
[ -z "${COMBINED-}" ] || /relay/combine || true

# With a webhook, fetch for each line that the webhook writes into a pipe. A signal from the
# webhook's container would need a shared process namespace, which exposes git-sync's environment
# and, under /proc/PID/root, its login.
if [ -n "${ANNOUNCED-}" ]; then
    trap '' HUP # a signal before git-sync handles it would end the process
    [ -p "$ANNOUNCED" ] || mkfifo "$ANNOUNCED"
    {
        exec 3<>"$ANNOUNCED" # also for writing: keeps the pipe open when the webhook closes it
        while read -r _ <&3; do kill -HUP $$; done
    } &
fi
exec "$@"
