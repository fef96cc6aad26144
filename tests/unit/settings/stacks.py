"""Settings of small, valid stacks."""

from copy import deepcopy

KEY = "airflow-platform:settings"
REPO = "https://github.com/example/airflow-dags.git"
# Only what is required.
EKS = {
    "cluster": {"kind": "eks", "private_endpoint": True, "private_access_cidrs": ["10.8.0.0/16"]},
    "network": {},
    "database": {"kind": "rds"},
    "dags": {"repo": REPO},
}
EXISTING_NETWORK = {
    "kind": "existing",
    "vpc_id": "vpc-0123456789abcdef0",
    "private_subnet_ids": ["subnet-0000000a", "subnet-0000000b"],
}
LOCAL = {
    "cluster": {"kind": "existing", "context": "kind-airflow"},
    "database": {"kind": "container"},
    "git_server": {},
    "dags": {"repo": "git://git-server:9418/dags.git"},
    "workers": {"scaling": "cpu"},
}
INGRESS = {
    "host": "a.example.com",
    "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
    "allowed_cidrs": ["10.0.0.0/8"],
}
TOKEN = {"kind": "token"}
SSH_KEY = {"kind": "ssh", "known_hosts": "github.com ssh-ed25519 AAAA"}
GITHUB_APP = {"kind": "github_app", "client_id": "Iv23", "installation_id": 42}


def changed(base, path, value):
    """A copy of `base` with `value` at the dotted path."""
    given = deepcopy(base)
    inner = given
    *parents, last = path.split(".")
    for key in parents:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return given
