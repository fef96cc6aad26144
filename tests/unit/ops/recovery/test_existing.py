"""Resources that exist before the update creates them, with fake tools."""

import json
import os
from dataclasses import dataclass, field

import pytest

from ops.recovery.aws import FINDERS
from ops.recovery.existing import IMPORTED, import_existing
from ops.shell import OperationError
from ops.stack import Stack

ROOT = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
OUTER = "urn:pulumi:dev::p::airflow:aws:Platform::platform"
CLUSTER = "urn:pulumi:dev::p::airflow:aws:Platform$airflow:aws:Cluster::cluster"
GROUP_TYPE = "aws:cloudwatch/logGroup:LogGroup"
ENTRY_TYPE = "aws:eks/accessEntry:AccessEntry"
GROUP = f"urn:pulumi:dev::p::airflow:aws:Platform$airflow:aws:Cluster${GROUP_TYPE}::cluster-logs"
ENTRY = f"urn:pulumi:dev::p::airflow:aws:Platform$airflow:aws:Cluster${ENTRY_TYPE}::admin"
BUCKET = "urn:pulumi:dev::p::aws:s3/bucket:Bucket::bucket"
# The ID of a provider that the update creates is unknown.
PROVIDER = "urn:pulumi:dev::p::pulumi:providers:aws::default_7_51_1::04da6b54-unknown"


def step(urn, parent=ROOT, op="create"):
    kind = urn.split("::")[2].rpartition("$")[2]
    state = {"urn": urn, "type": kind, "provider": PROVIDER, "inputs": {"of": urn}}
    return {"op": op, "urn": urn, "newState": state | ({"parent": parent} if parent else {})}


PLAN = {
    "steps": [
        step(ROOT, parent=None),
        step(OUTER),
        step(CLUSTER, parent=OUTER),
        step(GROUP, parent=CLUSTER),
        step(ENTRY, parent=CLUSTER),
        step(BUCKET),
        {"op": "delete", "urn": "gone", "oldState": {}},
    ]
}


@dataclass
class Account:
    """`ids` of existing resources by URN."""

    ids: dict[str, str]
    asked: list[str] = field(default_factory=list)

    def identify(self, resource):
        self.asked.append(resource["urn"])
        return self.ids.get(resource["urn"])


@pytest.fixture
def imported(tools, tmp_path):
    """Run the import: the content of its file, None without an import."""

    def run(plan, ids, known=(), status=0):
        state = json.dumps({"deployment": {"resources": [{"urn": urn} for urn in known]}})
        content = tmp_path / "content"
        tools(
            "pulumi",
            f"""case "$*" in
              *"stack export"*) printf %s '{state}' ;;
              "import "*) while [ "$1" != --file ]; do shift; done; cp "$2" {content}; exit {status} ;;
              *) exit 9 ;;
            esac""",
        )
        stack = Stack(name="dev", file=tmp_path / "Pulumi.dev.yaml", env=dict(os.environ))
        account = Account(ids)
        import_existing(stack, account, plan)
        run.asked = account.asked
        return json.loads(content.read_text()) if content.exists() else None

    return run


def test_only_log_groups_and_access_entries_are_looked_up(imported, tools):
    assert imported(PLAN, {}) is None
    assert imported.asked == [GROUP, ENTRY]
    assert tools.calls() == []
    assert set(IMPORTED) <= FINDERS.keys()


def test_a_resource_in_the_state_is_not_looked_up(imported):
    assert imported({"steps": [step(GROUP, CLUSTER, op="update")]}, {GROUP: "/g"}) is None
    assert imported.asked == []


def test_a_first_up_imports_the_components_too(imported, tools, capsys):
    content = imported(PLAN, {GROUP: "/g"})

    assert content == {
        "resources": [
            {"type": "airflow:aws:Platform", "name": "platform", "component": True},
            {
                "type": "airflow:aws:Cluster",
                "name": "cluster",
                "parent": "platform",
                "component": True,
            },
            {
                "type": GROUP_TYPE,
                "name": "cluster-logs",
                "parent": "cluster",
                "id": "/g",
                "version": "7.51.1",
            },
        ],
        "nameTable": {},
    }
    assert capsys.readouterr().out == "LogGroup /g exists: importing it\n"
    call = tools.calls()[-1]
    assert call.startswith("pulumi import --stack dev --config-file ")
    assert "--yes --skip-preview --generate-code=false --protect=false --non-interactive" in call


def test_components_in_the_state_are_referenced(imported):
    content = imported(PLAN, {GROUP: "/g", ENTRY: "c:p"}, known=[ROOT, OUTER, CLUSTER])

    assert [resource["name"] for resource in content["resources"]] == ["cluster-logs", "admin"]
    assert content["nameTable"] == {"cluster": CLUSTER}


def test_a_failed_import_stops_the_update(imported):
    with pytest.raises(OperationError, match=r"could not import .* re-run the command"):
        imported(PLAN, {GROUP: "/g"}, status=1)
