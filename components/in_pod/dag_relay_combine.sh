#!/bin/bash
# With dags.repositories and git-sync, the pods follow one tree: that of dags.repo, with the other
# repositories in repositories/NAME. Combines what is published: $MAIN, and each NAME/dags.git of
# $OTHERS. Trees are linked, not copied: a large repository costs the others no time.
set -euo pipefail

head_of() { git --git-dir="$1" rev-parse --verify --quiet "refs/heads/$BRANCH^{commit}"; }
# The deployment fails without a commit of dags.repo. The other repositories may follow later.
[ -d "$MAIN" ] && head_of "$MAIN" >/dev/null || exit 0

if [ ! -d "$COMBINED" ]; then
    git init --quiet --bare --initial-branch="$BRANCH" "$COMBINED.$$"
    # Another container may be first.
    mv --no-target-directory "$COMBINED.$$" "$COMBINED" 2>/dev/null || rm -rf "$COMBINED.$$"
fi
export GIT_DIR=$COMBINED
# Fixed author and dates: the same commits always get the same hash.
export GIT_AUTHOR_NAME=dag-relay GIT_AUTHOR_EMAIL=dag-relay@localhost GIT_AUTHOR_DATE='@0 +0000'
export GIT_COMMITTER_NAME=dag-relay GIT_COMMITTER_EMAIL=dag-relay@localhost GIT_COMMITTER_DATE='@0 +0000'

combine() {
    local main path name head trees="" heads="" tree
    main=$(head_of "$MAIN") || return
    for path in "$MAIN" $OTHERS; do
        [ ! -d "$path" ] || echo "$path/objects"
    done >"$COMBINED/new.$$"
    mv "$COMBINED/new.$$" "$COMBINED/objects/info/alternates"
    for path in $OTHERS; do
        # Not fetched yet, or damaged.
        [ -d "$path" ] && head=$(head_of "$path") || continue
        name=$(basename "$(dirname "$path")")
        trees+="040000 tree $(git rev-parse "$head^{tree}")"$'\t'"$name"$'\n' || return
        heads+="$name $head"$'\n'
    done
    trees=$(printf %s "$trees" | git mktree) || return
    tree=$({
        git ls-tree "$main" | grep --invert-match $'\trepositories$' || true
        printf '040000 tree %s\trepositories\n' "$trees"
    } | git mktree) || return
    git commit-tree "$tree" -m "dags.repo $main"$'\n'"$heads"
}

# No lock, which a killed container would leave behind: whoever writes last looks again.
written=""
while commit=$(combine) && [ "$commit" != "$written" ]; do
    echo "$commit" >"$COMBINED/new.$$"
    mv "$COMBINED/new.$$" "$COMBINED/refs/heads/$BRANCH"
    written=$commit
done
[ "$commit" = "$written" ]
