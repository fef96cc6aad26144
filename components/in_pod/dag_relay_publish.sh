#!/bin/bash
# git-sync runs this in each new checkout. Publishes the commit to the pods of Airflow atomically.
set -euo pipefail

# git-sync counts a failure as git_sync_hook_run_count_total{status="error"} and retries.
refuse() {
    echo "commit $GITSYNC_HASH is not published, the last good one stays: $1" >&2
    exit 1
}

[ -d "$SUB_PATH" ] || refuse "it has no folder $SUB_PATH (dags.sub_path)"
megabytes=$(du --summarize --apparent-size --block-size=1M --exclude=.git . | cut -f 1)
[ "$megabytes" -le "$MAX_MB" ] || refuse "its files are $megabytes MiB together, and dags.max_mb is $MAX_MB"

# Create it under a temporary name, then rename: an interrupted pod starts over.
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
    # Publish submodules as plain folders: the pods have no login for their hosts. (By default, Git
    # refuses local paths in submodule commands; this path is trusted.)
    git submodule --quiet foreach --recursive "git -c protocol.file.allow=always push --quiet --force '$PUBLISHED' HEAD:refs/relay/\$sha1"
    export GIT_DIR=$PUBLISHED GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$PUBLISHED/relay-index
    git read-tree "$commit"
    while read -r submodule path; do
        git update-index --force-remove "$path" # the gitlink
        git read-tree --prefix="$path/" "$submodule"
    done <<<"$submodules"
    # Fixed author and dates: the same commit always gets the same hash.
    author=(-c user.name=dag-relay -c user.email=dag-relay@localhost)
    GIT_COMMITTER_DATE=$(git show --no-patch --format=%cI "$commit")
    export GIT_COMMITTER_DATE GIT_AUTHOR_DATE=$GIT_COMMITTER_DATE
    commit=$(git "${author[@]}" commit-tree "$(git write-tree)" -p "$commit" -m "$commit with its submodules")
fi
git --git-dir="$PUBLISHED" update-ref "refs/heads/$BRANCH" "$commit"
