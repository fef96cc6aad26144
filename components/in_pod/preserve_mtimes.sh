#!/bin/bash
# Git runs this, as its hook post-index-change, when a new checkout is complete; git-sync switches to it
# after that. Every file of it is new, and Airflow parses anew what is: those that are as before get their time back.
# https://git-scm.com/docs/githooks#_post_index_change
[ "$1" = 1 ] || exit 0
before=$(readlink -f "$GITSYNC_ROOT/$GITSYNC_LINK") && [ -d "$before" ] || exit 0
commit=$(basename "$before") # git-sync names a checkout after its commit
changed=$(mktemp)
# Nothing here may stop git-sync: without this, Airflow is slower, and no more.
if git diff --cached --name-only --no-renames -z "$commit" >"$changed" 2>/dev/null; then
    mapfile -d '' -t same < <(LC_ALL=C comm -z -23 <(git ls-files -z | LC_ALL=C sort -z) <(LC_ALL=C sort -z "$changed"))
    after=$PWD
    [ ${#same[@]} -eq 0 ] || (cd "$before" && cp --attributes-only --preserve=timestamps --no-dereference --parents --target-directory="$after" -- "${same[@]}")
fi
rm -f "$changed"
exit 0
