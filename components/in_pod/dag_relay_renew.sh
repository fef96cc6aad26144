#!/bin/bash
# Moves a damaged copy of the repository aside: the next publish makes a new one. The damaged one
# stays on the volume, for the versions of bundles that only it has.
[ -d "$PUBLISHED" ] || exit 0
git --git-dir="$PUBLISHED" fsck --connectivity-only --no-progress >/dev/null 2>&1 && exit
echo "the published copy $PUBLISHED is damaged: it is made again, and $PUBLISHED.damaged keeps what is left" >&2
rm -rf "$PUBLISHED.damaged"
mv "$PUBLISHED" "$PUBLISHED.damaged"
