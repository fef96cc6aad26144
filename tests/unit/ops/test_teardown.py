"""`make down` of an AWS stack, with a fake Pulumi CLI, AWS CLI and kubectl."""

import json
import os
import sys
from dataclasses import replace

import pytest

from ops import teardown
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.cluster import ExistingClusterSettings

PREFIX = "urn:pulumi:dev::p::"
# Deletes like Pulumi: the targets with their dependents, or everything that is not protected.
PULUMI = """
import json, os, sys
words = sys.argv[1:]
state = json.load(open("state.json"))
resources = state["deployment"]["resources"]
needs = lambda r: set(r.get("dependencies", []))
if words[0] == "destroy":
    gone = {after for before, after in zip(words, words[1:]) if before == "--target"}
    if "--exclude-protected" in words:
        kept = {r["urn"] for r in resources if r.get("protect")}
        for _ in resources:
            kept |= {u for r in resources if r["urn"] in kept for u in needs(r)}
        gone = {r["urn"] for r in resources} - kept
    for _ in resources:
        gone |= {r["urn"] for r in resources if needs(r) & gone}
    refused = json.load(open("refused.json"))
    log = open(words[words.index("--event-log") + 1], "w")
    for urn in gone & refused.keys():
        event = {"urn": urn, "severity": "error", "message": refused[urn]}
        log.write(json.dumps({"diagnosticEvent": event}) + "\\n")
    left = [r for r in resources if r["urn"] not in gone or r["urn"] in refused]
    state["deployment"]["resources"] = left
    json.dump(state, open("state.json", "w"))
    sys.exit(255 if gone & refused.keys() else 0)
elif words[2:4] == ["stack", "import"]:
    json.dump(json.load(sys.stdin), open("state.json", "w"))
"""
AWS = """cd {folder}
case "$*" in
  "eks describe-cluster "*)
    [ -e cluster ] && cat cluster || {{ echo ResourceNotFoundException >&2; exit 254; }} ;;
  "rds describe-db-instances --db-instance-identifier airflow-db-drill "*)
    [ -e copy ] && echo '{{}}' || {{ echo DBInstanceNotFound >&2; exit 254; }} ;;
  "rds delete-db-instance "*) rm copy ;;
  "rds describe-db-instances "*) echo DBInstanceNotFound >&2; exit 254 ;;
  "eks update-cluster-config "*|"eks describe-update "*) cat update ;;
  "eks wait cluster-deleted "*) rm cluster ;;
  "elbv2 describe-load-balancers "*) echo '{{"LoadBalancers": []}}' ;;
  "elbv2 describe-target-groups "*) echo '{{"TargetGroups": []}}' ;;
  "ec2 describe-network-interfaces "*) echo '{{"NetworkInterfaces": []}}' ;;
  "ec2 describe-volumes "*) echo '{{"Volumes": []}}' ;;
  "ec2 describe-security-groups "*) cat groups ;;
  "ec2 describe-security-group-rules "*) echo '{{"SecurityGroupRules": []}}' ;;
  "ec2 delete-security-group "*) [ -e refuse ] && {{ cat refuse >&2; exit 254; }}
    echo '{{"SecurityGroups": []}}' > groups; cp released refused.json ;;
  "logs describe-log-groups "*) cat log_groups || exit 254 ;;
  "logs delete-log-group "*) echo '{{"logGroups": []}}' > log_groups ;;
esac"""
KUBECTL = """cd {folder}
case "$*" in
  *" get --raw /readyz "*) if [ -e unreachable ]; then echo i/o timeout >&2; exit 1; fi ;;
  *" get secret "*) echo '{{"items": []}}' ;;
  *" get namespaces "*) cat namespaces ;;
  *" get scaledobjects"*) cat scaled ;;
  *" get nodeclaims"*) [ -e unreachable ] && {{ echo Unauthorized >&2; exit 1; }}
    cat claims; if [ -e next ]; then cp next claims; fi ;;
  *" get nodes "*) cat nodes ;;
  *" get persistentvolumes "*) cat volumes ;;
  *" get pods "*) cat pods ;;
esac"""


def urn(name):
    return f"{PREFIX}{name}"


def resource(name, kind, *needs, custom=True, **more):
    dependencies = [urn(other) for other in needs]
    same = {"urn": urn(name), "type": kind, "custom": custom, "id": name}
    return {**same, "dependencies": dependencies, **more}


def resources(**changes):
    """A small stack; `changes` are fields of its resources, by name."""
    kubeconfig = {"outputs": {"kubeconfigJson": "{}"}}
    rows = [
        resource("vpc", "aws:ec2/vpc:Vpc"),
        resource("eks", "eks:index:Cluster", custom=False, **kubeconfig),
        resource("airflow-dev", "aws:eks/cluster:Cluster", "vpc"),
        resource("addon", "aws:eks/addon:Addon", "airflow-dev"),
        resource("provider", "pulumi:providers:kubernetes", "airflow-dev"),
        resource("pool", "kubernetes:karpenter.sh/v1:NodePool", "provider"),
        resource("namespace", "kubernetes:core/v1:Namespace", "provider"),
        resource("release", "kubernetes:helm.sh/v3:Release", "namespace", "pool"),
        resource(
            "pod-identity", "aws:eks/podIdentityAssociation:PodIdentityAssociation", "namespace"
        ),
        resource("bucket", "aws:s3/bucket:Bucket"),
        resource(
            "database", "aws:rds/instance:Instance", "vpc", inputs={"identifier": "airflow-db"}
        ),
    ]
    return [{**row, **changes.get(row["id"].replace("-", "_"), {})} for row in rows]


def items(*found):
    return {"items": list(found)}


CLAIM = {
    "kind": "NodeClaim",
    "metadata": {
        "name": "airflow-workers-x",
        "deletionTimestamp": "2026-11-28T10:00:00Z",
        "finalizers": ["karpenter.sh/termination"],
    },
    "status": {"nodeName": "i-1"},
}
VOLUME = {
    "kind": "PersistentVolume",
    "metadata": {"name": "pvc-1", "finalizers": ["kubernetes.io/pv-protection"]},
    "spec": {
        "storageClassName": "gp3",
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "airflow", "name": "redis-data"},
    },
    "status": {"phase": "Released"},
}
POD = {"kind": "Pod", "metadata": {"namespace": "other", "name": "batch-1"}}
DAEMON = {
    "kind": "Pod",
    "metadata": {
        "namespace": "other",
        "name": "agent-1",
        "ownerReferences": [{"kind": "DaemonSet"}],
    },
}


class Platform:
    """Answers of the tools, as files."""

    def __init__(self, folder, session, calls):
        self.folder, self.session, self._calls = folder, session, calls
        self.state(resources())
        self.cluster()
        self.answer("refused.json", {})
        self.answer("released", {})
        self.answer("groups", {"SecurityGroups": []})
        self.answer("log_groups", {"logGroups": []})
        self.answer("update", {"update": {"id": "1", "status": "Successful"}})
        for name in ("claims", "nodes", "volumes", "pods", "namespaces", "scaled"):
            self.answer(name, items())

    def answer(self, name, given):
        (self.folder / name).write_text(json.dumps(given))

    def state(self, resources, **more):
        self.answer("state.json", {"deployment": {"resources": resources, **more}})

    def cluster(self, status="ACTIVE", **config):
        self.answer("cluster", {"cluster": {"status": status, "computeConfig": config}})

    def left(self):
        state = json.loads((self.folder / "state.json").read_text())
        return [r["id"] for r in state["deployment"]["resources"]]

    def down(self):
        return teardown.down(self.session)

    def calls(self, *beginnings):
        return [call for call in self._calls() if call.startswith(beginnings)]

    def destroyed(self):
        """The targets of each `pulumi destroy`; empty for all resources."""
        return [
            [word.removeprefix(PREFIX) for word in call.split() if word.startswith(PREFIX)]
            for call in self.calls("pulumi destroy")
        ]


@pytest.fixture
def platform(tools, tmp_path, monkeypatch, stack):
    monkeypatch.setattr(teardown, "STATE", tmp_path / ".state")
    monkeypatch.setattr("ops.session.STATE", tmp_path / ".state")
    monkeypatch.setattr(teardown.time, "sleep", lambda seconds: None)
    (tmp_path / "pulumi.py").write_text(PULUMI)
    tools(
        "pulumi",
        f"""cd {tmp_path}
case "$*" in
  *" stack export"*) cat state.json ;;
  *) {sys.executable} -I -S pulumi.py "$@" ;;
esac""",
    )
    tools("aws", AWS.format(folder=tmp_path))
    tools("kubectl", KUBECTL.format(folder=tmp_path))
    session = Session(
        settings=stack("dev")[1],
        stack=Stack(name="dev", file=tmp_path / "Pulumi.dev.yaml", env=dict(os.environ)),
        account=Aws(region="eu-west-1", tags={}),
    )
    return Platform(tmp_path, session, tools.calls)


def test_the_cluster_is_deleted_after_everything_in_it(platform, capsys):
    assert platform.down() == 0

    assert platform.destroyed() == [
        ["addon", "namespace", "release"],
        ["pool"],
        ["airflow-dev"],
        [],
    ]
    assert platform.left() == []
    assert capsys.readouterr().out.endswith("\nAll resources were deleted.\n")


SECOND_KEY = "arn:aws:kms:eu-central-1:111122223333:key/k-1"


@pytest.mark.parametrize("protect", [True, False])
def test_what_stays_in_the_second_region_is_said(platform, capsys, protect):
    key = resource("recovery", "aws:kms/key:Key", outputs={"arn": SECOND_KEY}, protect=protect)
    own = resource("key", "aws:kms/key:Key", outputs={"arn": "arn:aws:kms:eu-west-1:1:key/k-2"})
    platform.state([*resources(), {**key, "retainOnDelete": True}, own])

    assert platform.down() == 0

    printed = capsys.readouterr().out
    said = "AWS keeps the replicated backups in eu-central-1 until their retention ends, and KMS key/k-1"
    assert (said in printed) is not protect, "a protected key is listed as not deleted"
    command = f"`aws kms schedule-key-deletion --region eu-central-1 --key-id {SECOND_KEY}`"
    assert (command in printed) is not protect
    assert "k-2" not in printed


def test_the_copy_of_a_killed_drill_is_deleted(platform, capsys):
    (platform.folder / "copy").touch()

    assert platform.down() == 0

    calls = platform.calls("aws rds delete-db-instance", "aws rds wait", "pulumi destroy")
    delete, wait = calls[:2]
    assert "--db-instance-identifier airflow-db-drill --skip-final-snapshot" in delete
    assert "db-instance-deleted --db-instance-identifier airflow-db-drill" in wait
    assert "deleting airflow-db-drill, a copy of airflow-db\n" in capsys.readouterr().out


def test_the_cluster_waits_for_nodes_and_volumes(platform, capsys):
    other = {**VOLUME, "spec": {"storageClassName": "standard"}}
    platform.answer("claims", items(CLAIM))
    platform.answer("volumes", items(other))
    platform.answer("next", items())

    assert platform.down() == 0
    assert "waiting for 1 NodeClaim to be deleted (0 of at most 1020 s)" in capsys.readouterr().out
    order = [call.split()[0:5] for call in platform.calls("kubectl", "pulumi destroy")]
    assert sum("nodeclaims.karpenter.sh" in call for call in order) == 2
    last = max(n for n, call in enumerate(order) if "nodeclaims.karpenter.sh" in call)
    first = next(
        n
        for n, call in enumerate(platform.calls("kubectl", "pulumi destroy"))
        if "airflow-dev" in call
    )
    assert last < first


def test_nodes_that_stay_are_named_with_what_holds_them(platform, monkeypatch):
    clock = iter(range(0, 10_000, 300))
    monkeypatch.setattr(teardown.time, "monotonic", lambda: next(clock))
    platform.answer("claims", items(CLAIM))
    platform.answer("volumes", items(VOLUME))
    platform.answer("pods", items(POD, DAEMON))

    with pytest.raises(OperationError) as error:
        platform.down()
    lines = str(error.value).splitlines()
    assert lines[0].startswith(
        "nodes and volumes are left after 1020 s. The cluster was not deleted"
    )
    assert lines[1:] == [
        "  NodeClaim airflow-workers-x: finalizers karpenter.sh/termination; pods other/batch-1",
        "  PersistentVolume pvc-1: not being deleted; finalizers kubernetes.io/pv-protection; "
        "Released, claim airflow/redis-data; reclaim policy Retain",
        "Delete what holds them (docs/runbooks/delete-a-stack.md), then run `make down STACK=dev` again",
    ]
    assert "airflow-dev" in platform.left()


def test_a_cluster_without_access_is_deleted_after_its_objects(platform, capsys):
    """An earlier command has deleted the objects and the access entry."""
    platform.state([r for r in resources() if not r["type"].startswith("kubernetes:")])
    (platform.folder / "unreachable").touch()

    assert platform.down() == 0
    assert "cannot list the nodes of the cluster, which end with it" in capsys.readouterr().out
    assert platform.left() == []


def test_an_object_that_pulumi_was_creating_needs_the_cluster(platform):
    bare = [r for r in resources() if not r["type"].startswith("kubernetes:")]
    secret = {"urn": urn("x"), "type": "kubernetes:core/v1:Secret"}
    platform.state(bare)
    assert not teardown.has_objects(platform.session.stack)

    platform.state(bare, pending_operations=[{"type": "creating", "resource": secret}])
    assert teardown.has_objects(platform.session.stack)


def test_built_in_node_pools_are_removed_before_the_wait(platform):
    platform.cluster(nodePools=["general-purpose", "system"], enabled=True)

    assert platform.down() == 0
    (update,) = platform.calls("aws eks update-cluster-config")
    assert "--name airflow-dev" in update
    assert '--compute-config {"enabled": true, "nodePools": []}' in update
    assert '--kubernetes-network-config {"elasticLoadBalancing": {"enabled": true}}' in update
    assert '--storage-config {"blockStorage": {"enabled": true}}' in update
    calls = platform.calls("aws eks update-cluster-config", "kubectl")
    assert calls.index(update) < min(n for n, call in enumerate(calls) if "nodeclaims" in call)


def test_a_failed_removal_of_built_in_pools_ends_the_command(platform):
    platform.cluster(nodePools=["system"])
    errors = [{"errorMessage": "not now"}]
    platform.answer("update", {"update": {"id": "1", "status": "Failed", "errors": errors}})

    with pytest.raises(OperationError, match=r"has not removed .* of airflow-dev: Failed not now"):
        platform.down()
    assert "airflow-dev" in platform.left()


def test_a_cluster_without_built_in_node_pools_is_not_changed(platform):
    platform.down()

    assert platform.calls("aws eks update-cluster-config") == []


def test_a_failed_stage_ends_the_command_with_its_reasons(platform, capsys):
    platform.answer("refused.json", {urn("release"): "deleting urn:\n * timed out"})

    assert platform.down() == 255
    assert platform.destroyed() == [["addon", "namespace", "release"]]
    output = capsys.readouterr().out
    assert "    kubernetes:helm.sh/v3:Release release: timed out" in output
    assert "Next steps: docs/runbooks/delete-a-stack.md" in output
    assert "All resources" not in output


def test_a_group_of_the_cluster_is_deleted_before_the_network(platform, capsys):
    platform.answer(
        "groups", {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "eks-cluster-sg"}]}
    )
    # The cluster exists until Pulumi deletes it.
    platform.state([r for r in resources() if r["id"] in ("vpc", "bucket")])
    (platform.folder / "cluster").unlink()
    platform.answer("refused.json", {urn("vpc"): "api error DependencyViolation: in use"})
    (platform.folder / ".state").mkdir()
    names = {"clusters": ["airflow-dev"], "instances": [], "log_groups": []}
    (platform.folder / ".state" / "dev.names.json").write_text(json.dumps(names))

    assert platform.down() == 0
    assert "deleted the security group sg-1, which AWS had kept" in capsys.readouterr().out
    assert platform.destroyed() == [[]], "the first attempt succeeds"


def test_a_refused_leftover_is_reported(platform, capsys):
    groups = [{"GroupId": f"sg-{n}", "GroupName": "other"} for n in (1, 2)]
    platform.answer("groups", {"SecurityGroups": groups})
    (platform.folder / "refuse").write_text("An error occurred (UnauthorizedOperation): no")
    (platform.folder / "cluster").unlink()
    platform.answer("refused.json", {urn("vpc"): "api error DependencyViolation: in use"})

    assert platform.down() == 255
    output = capsys.readouterr().out
    assert "    aws:ec2/vpc:Vpc vpc: DependencyViolation: in use" in output
    assert "  in vpc:\n    security group sg-1 (other)\n    security group sg-2 (other)\n" in output
    assert "  kept by AWS, not in the state:\n    security group sg-1: " in output
    assert "UnauthorizedOperation" in output


def test_the_rest_is_deleted_without_access_to_leftovers(platform, capsys):
    """A role of an earlier release lacks the permissions for leftovers."""
    (platform.folder / "cluster").unlink()
    (platform.folder / "log_groups").unlink()

    assert platform.down() == 1
    assert platform.left() == []
    output = capsys.readouterr().out
    assert "  kept by AWS, not in the state:\n    not known: aws logs describe-log-groups" in output
    assert "All resources" not in output


def test_log_groups_that_reappear_are_deleted(platform, capsys):
    name = "/aws/rds/instance/airflow-db/postgresql"
    platform.answer("log_groups", {"logGroups": [{"logGroupName": name}]})
    (platform.folder / "cluster").unlink()

    assert platform.down() == 0
    assert f"deleted the log group {name}, which AWS had kept" in capsys.readouterr().out


def test_names_outlive_the_state(platform):
    (platform.folder / "cluster").unlink()
    platform.down()
    assert platform.left() == []
    before = platform.destroyed()

    name = "/aws/eks/airflow-dev/cluster"
    platform.answer("log_groups", {"logGroups": [{"logGroupName": name}]})
    assert platform.down() == 0
    assert platform.destroyed() == before, "the state is empty"
    assert platform.calls(f"aws logs delete-log-group --log-group-name {name}")


def test_another_machine_knows_the_names_of_a_deleted_stack(platform):
    """Its `.state/` is empty: the names are those of the settings."""
    platform.state([])

    names = teardown.remember(platform.session)
    assert names.clusters == {"airflow-dev"}
    assert names.instances == {"airflow-dev"}


def test_the_names_of_former_generations_are_known(platform):
    settings = platform.session.settings
    later = {"generation": 3, "restore_from": "one-snapshot"}
    database = settings.database.model_copy(update=later)
    session = replace(platform.session, settings=settings.model_copy(update={"database": database}))

    named = {"airflow-dev", "airflow-dev-g2", "airflow-dev-g3"}
    assert named <= teardown.remember(session).instances, "RDS can write their log groups again"


def test_a_log_group_that_pulumi_deletes_is_not_a_leftover(platform):
    group = resource("logs", "aws:cloudwatch/logGroup:LogGroup", inputs={"name": "/vpc/flow"})
    platform.state([*resources(), group])
    platform.answer("log_groups", {"logGroups": [{"logGroupName": "/vpc/flow"}]})
    names = teardown.remember(platform.session)

    assert teardown.unlisted(platform.session.stack, platform.session.account, names) == []


def test_a_protected_cluster_is_kept_with_what_it_needs(platform, capsys):
    platform.state(resources(airflow_dev={"protect": True}))

    assert platform.down() == 0
    assert platform.destroyed() == [[]], "one step, as nothing in the cluster blocks another"
    assert platform.left() == ["vpc", "airflow-dev"]
    output = capsys.readouterr().out
    assert "  protected:\n    aws:eks/cluster:Cluster airflow-dev\n" in output
    assert "  needed by a protected resource:\n    aws:ec2/vpc:Vpc vpc: airflow-dev\n" in output
    assert "set `protect` to false" in output


def test_a_protected_bucket_does_not_keep_the_cluster(platform):
    platform.state(resources(bucket={"protect": True}))

    assert platform.down() == 0
    assert platform.destroyed()[2] == ["airflow-dev"]
    assert platform.left() == ["bucket"]


@pytest.mark.parametrize("name", ["airflow_dev", "namespace"])
def test_a_protected_cluster_that_is_gone_keeps_everything(platform, name):
    (platform.folder / "cluster").unlink()
    platform.state(resources(**{name: {"protect": True}}))

    with pytest.raises(OperationError, match="Save the data of its EBS volumes") as error:
        platform.down()
    unprotect = f"pulumi state unprotect '{urn(name.replace('_', '-'))}' --stack dev --yes"
    assert unprotect in str(error.value)
    assert platform.destroyed() == []
    assert "release" in platform.left()


def test_objects_of_a_cluster_that_is_gone_are_forgotten(platform, capsys):
    (platform.folder / "cluster").unlink()
    pending = [
        {"type": "creating", "resource": {"urn": urn("x"), "type": "kubernetes:core/v1:Secret"}},
        {
            "type": "deleting",
            "resource": {"urn": urn("release"), "type": "kubernetes:helm.sh/v3:Release"},
        },
    ]
    platform.state(resources(), pending_operations=pending)

    teardown.forget_objects(platform.session.stack)
    state = json.loads((platform.folder / "state.json").read_text())["deployment"]
    assert platform.left() == [
        "vpc",
        "eks",
        "airflow-dev",
        "addon",
        "provider",
        "pod-identity",
        "bucket",
        "database",
    ]
    assert state["pending_operations"] == []
    (identity,) = [r for r in state["resources"] if r["id"] == "pod-identity"]
    assert identity["dependencies"] == []
    assert "forgetting its 3 objects" in capsys.readouterr().out


def test_a_cluster_that_is_gone_is_not_asked(platform):
    (platform.folder / "cluster").unlink()

    assert platform.down() == 0
    assert platform.calls("kubectl") == []
    assert platform.destroyed() == [["airflow-dev"], []], "its dependents are deleted with it"


def test_a_cluster_that_is_being_deleted_is_awaited(platform, capsys):
    platform.cluster("DELETING")

    teardown.await_deletion(platform.session)
    assert "EKS is deleting the cluster airflow-dev: waiting for its end" in capsys.readouterr().out
    assert not (platform.folder / "cluster").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_no_other_cluster_is_awaited(platform, exists):
    if not exists:
        (platform.folder / "cluster").unlink()

    teardown.await_deletion(platform.session)
    assert platform.calls("aws eks wait") == []


@pytest.mark.parametrize("region", [False, True])
def test_a_stack_on_an_existing_cluster_is_deleted_in_one_step(platform, region):
    cluster = ExistingClusterSettings(kind="existing", context="kind-airflow")
    session = Session(
        settings=platform.session.settings.model_copy(update={"cluster": cluster}),
        stack=platform.session.stack,
        account=platform.session.account if region else None,
    )
    platform.state([resource("namespace", "kubernetes:core/v1:Namespace")])

    assert teardown.down(session) == 0
    assert platform.destroyed() == [[]]
    assert platform.calls("aws eks") == [], "the cluster stays"


NAMESPACE = {"metadata": {"name": "flow", "labels": {"airflow-platform/stack": "team-b"}}}


def test_a_cluster_with_another_stack_is_not_deleted(platform):
    platform.answer("namespaces", items(NAMESPACE))

    with pytest.raises(OperationError, match="also runs stack 'team-b' in namespace 'flow'"):
        platform.down()
    assert platform.destroyed() == []


def test_a_keda_that_another_stack_uses_is_not_deleted(platform):
    platform.answer("scaled", items({"metadata": {"namespace": "flow"}}))
    platform.state([*resources(), resource("keda-release", "kubernetes:helm.sh/v3:Release")])

    with pytest.raises(OperationError, match=r"also scales workers in flow\. Nothing was changed"):
        platform.down()
    assert platform.destroyed() == []


def test_rds_beside_an_existing_cluster_is_deleted_with_its_logs(platform, stack, capsys):
    """The state has no EKS cluster: its objects must be deleted, not forgotten."""
    cluster = ExistingClusterSettings(kind="existing", context="kind-airflow")
    settings = platform.session.settings.model_copy(update={"cluster": cluster})
    platform.session = replace(platform.session, settings=settings)
    kinds = ("eks", "airflow-dev", "addon", "pool", "pod-identity", "bucket")
    platform.state([r for r in resources() if r["id"] not in kinds])
    name = "/aws/rds/instance/airflow-db/postgresql"
    platform.answer("log_groups", {"logGroups": [{"logGroupName": name}]})

    assert platform.down() == 0
    assert platform.destroyed() == [[]]
    assert platform.left() == []
    assert f"deleted the log group {name}, which AWS had kept" in capsys.readouterr().out
