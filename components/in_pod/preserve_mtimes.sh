#!/bin/bash
# Git hook post-index-change (https://git-scm.com/docs/githooks#_post_index_change): runs when a new
# checkout is complete, before git-sync switches to it. All its files have a new modification time,
# and Airflow parses files with a new one: restore the time of unchanged files.
[ "$1" = 1 ] || exit 0
before=$(readlink -f "$GITSYNC_ROOT/$GITSYNC_LINK") && [ -d "$before" ] || exit 0
commit=$(basename "$before") # git-sync names a checkout after its commit
changed=$(mktemp)
# A failure must not stop git-sync: without restored times, Airflow only parses more files.
if git diff --cached --name-only --no-renames -z "$commit" >"$changed" 2>/dev/null; then
    mapfile -d '' -t same < <(LC_ALL=C comm -z -23 <(git ls-files -z | LC_ALL=C sort -z) <(LC_ALL=C sort -z "$changed"))
    after=$PWD
    [ ${#same[@]} -eq 0 ] || (cd "$before" && cp --attributes-only --preserve=timestamps --no-dereference --parents --target-directory="$after" -- "${same[@]}")
fi
rm -f "$changed"
exit 0
