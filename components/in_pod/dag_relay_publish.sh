#!/bin/bash
# git-sync runs this in each new checkout. Publishes the commit to the pods of Airflow atomically.
set -euo pipefail
shopt -s globstar nullglob
# Set for some repositories only.
: "${LFS=false}" "${KEEP=false}" "${SETTING=dags}" "${RESERVED=}" "${COMBINED=}"

# git-sync counts a failure as git_sync_hook_run_count_total{status="error"} and retries. `make dags`
# reads the file.
refuse() {
    echo "commit $GITSYNC_HASH is not published, the last good one stays: $1" | tee "$REJECTED" >&2
    exit 1
}
published() { GIT_DIR=$PUBLISHED GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$PUBLISHED/relay-index git "$@"; }
push() { git -c protocol.file.allow=always push --quiet --force "$PUBLISHED" "$1"; }

[ -d "$SUB_PATH" ] || refuse "it has no folder $SUB_PATH ($SETTING.sub_path)"
[ -z "$RESERVED" ] || [ ! -e "$RESERVED" ] || refuse "its folder $RESERVED would hide dags.repositories: rename it"

# The gate, in the container with Python: what would stop the DAGs of every repository.
ask() {
    exec 3<>"/dev/tcp/127.0.0.1/$GATE_PORT" || return
    printf '%s\t%s\t%s\n' "$PWD" "$SUB_PATH" "$LFS" >&3
    cat <&3
}
answer=$(ask 2>&1) || true
case $answer in
done) ;;
*$'\n'done)
    answer=${answer%$'\n'done}
    refuse "${answer//$'\n'/; }"
    ;;
*)
    echo "commit $GITSYNC_HASH waits: the container gate gives no answer: $answer" >&2
    exit 1
    ;;
esac

submodules=$(git submodule --quiet foreach --recursive 'echo "$sha1 $displaypath"')
large=()   # files in Git LFS: folder of their repository, tab, path in it
folders=() # of the repository and its submodules, if they may contain such files
if [ "$LFS" = true ]; then
    command -v git-lfs >/dev/null || refuse "$SETTING.lfs needs git-lfs in the image dags.git_sync_image"
    mapfile -t folders < <(echo . && cut --delimiter=' ' --fields=2- --only-delimited <<<"$submodules")
fi
for folder in "${folders[@]}"; do
    while IFS= read -r file; do
        large+=("$folder"$'\t'"$file")
    done < <(git -C "$folder" lfs ls-files --name-only)
done

# After a failure, for example of a push into a damaged copy.
trap '[ $? = 0 ] || "${0%/*}/renew"' EXIT
# Create it under a temporary name, then rename: an interrupted pod starts over.
if [ ! -d "$PUBLISHED" ]; then
    rm -rf "$PUBLISHED.new"
    git init --quiet --bare --initial-branch="$BRANCH" "$PUBLISHED.new"
    mv "$PUBLISHED.new" "$PUBLISHED"
fi
# Left by a killed run; git-sync runs one at a time.
rm -f "$PUBLISHED"/relay-index* "$PUBLISHED"/refs/**/*.lock

commit=$GITSYNC_HASH
push "$commit:refs/relay/commit"
# Fixed author and dates: the same commits always get the same hash.
GIT_COMMITTER_DATE=$(git show --no-patch --format=%cI "$commit")
export GIT_COMMITTER_DATE GIT_AUTHOR_DATE=$GIT_COMMITTER_DATE
export GIT_AUTHOR_NAME=dag-relay GIT_AUTHOR_EMAIL=dag-relay@localhost
export GIT_COMMITTER_NAME=dag-relay GIT_COMMITTER_EMAIL=dag-relay@localhost
if [ -n "$submodules" ] || [ ${#large[@]} -gt 0 ]; then
    # Publish submodules as plain folders, and files of Git LFS as plain files: the pods have no
    # login for their hosts.
    published read-tree "$commit"
    while read -r submodule path; do
        [ -n "$submodule" ] || continue
        (cd "$path" && push "HEAD:refs/relay/$submodule")
        published update-index --force-remove "$path" # the gitlink
        published read-tree --prefix="$path/" "$submodule"
    done <<<"$submodules"
    for folder in "${folders[@]}"; do git -C "$folder" lfs fetch >/dev/null; done
    for entry in "${large[@]}"; do
        folder=${entry%%$'\t'*} file=${entry#*$'\t'}
        path=$folder/$file path=${path#./}
        mode=$(published ls-files --stage -- "$path" | cut --characters=1-6)
        content=$(git -C "$folder" show "HEAD:$file" | git -C "$folder" lfs smudge -- "$file" | published hash-object -w --stdin)
        published update-index --cacheinfo "$mode,$content,$path"
    done
    commit=$(published commit-tree "$(published write-tree)" -p "$commit" -m "$commit with its submodules${large:+ and LFS files}")
fi

# A run of a bundle stays on its commit. Not every commit is an ancestor of the next one: not after
# a forced push, and never with submodules. The branch `kept` has the others as ancestors.
is_ancestor() { published merge-base --is-ancestor "$1" "$2" 2>/dev/null; }
if [ "$KEEP" = true ] && previous=$(published rev-parse --verify --quiet "refs/heads/$BRANCH") \
    && ! is_ancestor "$previous" "$commit" && ! is_ancestor "$previous" refs/heads/kept; then
    kept=$(published rev-parse --verify --quiet refs/heads/kept) || true
    kept=$(published commit-tree "$(published mktree </dev/null)" ${kept:+-p "$kept"} -p "$previous" -m "Keep $previous")
    published update-ref refs/heads/kept "$kept"
fi
published update-ref "refs/heads/$BRANCH" "$commit"
rm -f "$REJECTED"
for folder in "${folders[@]}"; do
    # The files of this commit only: their history is in the published repository.
    used=$(git -C "$folder" lfs ls-files --long)
    for object in "$(git -C "$folder" rev-parse --path-format=absolute --git-common-dir)"/lfs/objects/*/*/*; do
        [[ $used == *${object##*/}* ]] || rm -f "$object"
    done
done
[ -z "$COMBINED" ] || "${0%/*}/combine"
