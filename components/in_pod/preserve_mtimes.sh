#!/bin/bash
# Git hook post-index-change (https://git-scm.com/docs/githooks#_post_index_change): runs when a new
# checkout is complete. Airflow parses files with a new modification time. Two corrections:
# - git-sync gives every file a new time: restore the time of files that a commit does not affect.
# - A changed module or data file affects other files: they get a new time too.
# Without restored times, Airflow only parses more files: a failure must not stop the checkout.
[ "$1" = 1 ] || exit 0
if [ -n "${GITSYNC_ROOT-}" ]; then # git-sync switches to this checkout afterwards
    before=$(readlink -f "$GITSYNC_ROOT/$GITSYNC_LINK") && [ -d "$before" ] || exit 0
    commit=$(basename "$before") # git-sync names a checkout after its commit
else # GitDagBundle resets its only checkout, and moves HEAD afterwards
    before= commit=HEAD
fi
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git diff --cached --name-only --no-renames -z "$commit" >"$work/next" 2>/dev/null || exit 0

# Files that import a changed module or name a changed data file, directly or through other files.
any_of() { local IFS='|' && echo "($*)"; }
declare -A affected
mapfile -d '' -t next <"$work/next"
while [ ${#next[@]} -gt 0 ]; do
    modules=() data=() patterns=()
    for path in "${next[@]}"; do
        affected[$path]=1
        name=${path##*/} folder=${path%/*} folder=${folder##*/}
        [ "$name" != __init__.py ] || name=$folder.py
        case $name in
        *[!A-Za-z0-9_]*.py) ;; # cannot be imported
        *.py) modules+=("${name%.py}") ;;
        *) # its name, its folder or a pattern such as *.yaml; a dot stands for a special character
            data+=("${name//[!A-Za-z0-9_]/.}" "[^\"'/]*[*].${name##*.}")
            [ "$path" = "$name" ] || data+=("${folder//[!A-Za-z0-9_]/.}")
            ;;
        esac
    done
    [ ${#data[@]} = 0 ] || patterns+=(-e "[\"'/]$(any_of "${data[@]}")[\"'/]")
    if [ ${#modules[@]} -gt 0 ]; then
        names=$(any_of "${modules[@]}")
        patterns+=(-e "(^\\s*(from|import)\\s|import_module)([^#]*[^A-Za-z0-9_#])?$names([^A-Za-z0-9_]|\$)")
        # A line of an import list in parentheses.
        patterns+=(-e "^\\s+([A-Za-z0-9_ ]+,\\s*)*$names(\\s+as\\s+[A-Za-z0-9_]+)?\\s*([,)#].*)?\$")
    fi
    next=()
    [ ${#patterns[@]} -gt 0 ] || break
    # Exit status 1: nothing found.
    git grep --cached -lzE '(' "${patterns[@]}" ')' --and --not -e '^\s*(from|import) airflow' -- '*.py' >"$work/found" || [ $? = 1 ] || exit 0
    while read -r -d '' path; do
        [ -n "${affected[$path]-}" ] || next+=("$path")
    done <"$work/found"
done
# In the future: a parse of the previous version that ends after the change would hide it otherwise.
[ ${#affected[@]} = 0 ] || touch --no-create --no-dereference --date='5 seconds' -- "${!affected[@]}"
if [ -z "$before" ]; then
    git update-index -q --refresh # otherwise the next reset writes the files again
    exit 0
fi
printf '%s\0' "${!affected[@]}" | sort -z >"$work/affected"
after=$PWD
mapfile -d '' -t same < <(comm -z -23 <(git ls-files -z | sort -z) "$work/affected")
[ ${#same[@]} -eq 0 ] || (cd "$before" && cp --attributes-only --preserve=timestamps --no-dereference --parents --target-directory="$after" -- "${same[@]}")
exit 0
