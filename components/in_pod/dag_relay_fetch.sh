#!/bin/bash
# Entrypoint of the relay: prepares the volume, then becomes git-sync ("$@").
set -euo pipefail

# Remove what a killed Git left: git-sync would wait for its locks forever, and its parts of packs
# fill the volume.
shopt -s globstar nullglob
rm -rf {"$GITSYNC_ROOT"/.git,"$PUBLISHED"}/{**/*.lock,objects/{pack/tmp_*,tmp_objdir-*,incoming-*}}

# git-sync repairs its own repository, and publishes when it starts. A lost or damaged copy ends it.
"${0%/*}/renew"
readable() { git --git-dir="$PUBLISHED" cat-file -e "refs/heads/$BRANCH:" 2>/dev/null; }
published=
! readable || published=true
while kill -0 $$ 2>/dev/null; do
    if readable; then
        published=true
    elif [ -n "$published" ]; then
        echo "the published copy $PUBLISHED is lost or damaged: git-sync starts again" >&2
        kill $$
        break
    fi
    sleep 1
done &

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
