#!/bin/sh
# Serves one repository over git://. Reads are anonymous; pushes are accepted from 127.0.0.1 only,
# which is `kubectl port-forward`, authenticated by Kubernetes.
set -eu
repository=/git/dags.git
export HOME=/git GIT_CONFIG_NOSYSTEM=1

if [ ! -d "$repository" ]; then
    # Create it under a temporary name, then rename: an interrupted pod starts over.
    rm -rf /git/new && mkdir /git/new && cd /git/new
    git init -q --bare -b "$BRANCH" dags.git
    git clone -q dags.git work
    cp -R -L /seed/. work/ && rm -rf work/..?*
    cd work
    git add --all
    git -c user.name=airflow-platform -c user.email=airflow-platform@localhost commit -q -m "Seed"
    git push -q origin "HEAD:$BRANCH"
    mv ../dags.git "$repository" && rm -rf /git/new
fi

cat > /git/access <<'HOOK'
#!/bin/sh
[ "$1" != receive-pack ] || [ "$REMOTE_ADDR" = 127.0.0.1 ] || [ "$REMOTE_ADDR" = '[::1]' ] || {
    echo "read only; push through: kubectl -n airflow port-forward svc/git-server 9418"
    exit 1
}
HOOK
chmod 755 /git/access
exec git daemon --export-all --enable=receive-pack --access-hook=/git/access \
    --informative-errors --reuseaddr --base-path=/git --port=9418 /git
