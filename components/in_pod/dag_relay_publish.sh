#!/bin/bash
# git-sync runs this in each new checkout. The pods of Airflow see the commit in one step, or not at all.
set -euo pipefail

# git-sync counts it as git_sync_hook_run_count_total{status="error"}, and asks again until it passes.
refuse() {
    echo "commit $GITSYNC_HASH is not published, the last good one stays: $1" >&2
    exit 1
}

[ -d "$SUB_PATH" ] || refuse "it has no folder $SUB_PATH (dags.sub_path)"
megabytes=$(du --summarize --apparent-size --block-size=1M --exclude=.git . | cut -f 1)
[ "$megabytes" -le "$MAX_MB" ] || refuse "its files are $megabytes MiB together, and dags.max_mb is $MAX_MB"

# Made beside its place and moved there when it is whole: a pod that dies here starts over.
if [ ! -d "$PUBLISHED" ]; then
    rm -rf "$PUBLISHED.new"
    git init --quiet --bare --initial-branch="$BRANCH" "$PUBLISHED.new"
    mv "$PUBLISHED.new" "$PUBLISHED"
fi
push() { git push --quiet --force "$PUBLISHED" "$1"; }

commit=$GITSYNC_HASH
push "$commit:refs/relay/commit"
submodules=$(git submodule --quiet foreach --recursive 'echo "$sha1 $displaypath"')
if [ -n "$submodules" ]; then
    # As plain folders: the pods could not log in where a submodule comes from. (Git distrusts paths
    # that a submodule names; this one is ours.)
    git submodule --quiet foreach --recursive "git -c protocol.file.allow=always push --quiet --force '$PUBLISHED' HEAD:refs/relay/\$sha1"
    export GIT_DIR=$PUBLISHED GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$PUBLISHED/relay-index
    git read-tree "$commit"
    while read -r submodule path; do
        git update-index --force-remove "$path" # the link
        git read-tree --prefix="$path/" "$submodule"
    done <<<"$submodules"
    # Nothing of now or here in it: the same commit gives the same hash again.
    who=(-c user.name=dag-relay -c user.email=dag-relay@localhost)
    GIT_COMMITTER_DATE=$(git show --no-patch --format=%cI "$commit")
    export GIT_COMMITTER_DATE GIT_AUTHOR_DATE=$GIT_COMMITTER_DATE
    commit=$(git "${who[@]}" commit-tree "$(git write-tree)" -p "$commit" -m "$commit with its submodules")
fi
git --git-dir="$PUBLISHED" update-ref "refs/heads/$BRANCH" "$commit"
