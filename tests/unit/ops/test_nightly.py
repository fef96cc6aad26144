"""The volume of the nightly dumps, with a fake kubectl."""

import json
import subprocess

import pytest

from components.kubernetes.database_backup import CRON_JOB, FOLDER
from ops import nightly
from ops.kubernetes import Kubernetes
from ops.shell import OperationError

CLUSTER = Kubernetes(name="c", namespace="flow", arguments=["--context", "c"])
DUMP = "local-3-3-2-20261129-020000.dump"
JOB = "job.batch/database-backup-read-x7k"


@pytest.fixture
def cluster(tools, tmp_path, stack):
    """A cluster with the CronJob of the stack local; `reader()` is the Job that was created."""
    (declared,) = stack("local")[0].all("kubernetes:batch/v1:CronJob")
    cron_job = {"spec": declared.inputs["spec"]}
    cron_job["metadata"] = {**declared.inputs["metadata"], "uid": "u-1"}
    (tmp_path / "cronjob").write_text(json.dumps(cron_job))

    def create(listed=f"7 {DUMP}", content="dumped", status=0, ready=0, absent=False):
        if absent:
            (tmp_path / "cronjob").write_text("")
        tools(
            "kubectl",
            f"""cd {tmp_path}
            case "$*" in
            *"get cronjob {CRON_JOB} --namespace flow"*) cat cronjob ;;
            *" create "*) cat > reader; echo {JOB} ;;
            *" wait "*) exit {ready} ;;
            *" sh -c "*) printf '%s\\n' '{listed}' ;;
            *" cat "*) echo {content}; [ {status} = 0 ] || echo lost >&2; exit {status} ;;
            esac""",
        )
        return CLUSTER

    create.reader = lambda: json.loads((tmp_path / "reader").read_text())
    return create


def test_the_dumps_are_listed_with_their_sizes(cluster):
    """A file of another name is no dump: its time is unknown."""
    with nightly.mounted(cluster(listed=f"7 {DUMP}\n9 mine.dump")) as volume:
        assert volume.dumps() == {DUMP: 7}


@pytest.mark.parametrize("names", [[], [DUMP, "half.part"]])
def test_the_list_is_read_from_the_folder(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("content")
    words = ["sh", "-c", nightly.LIST.replace(FOLDER, str(tmp_path))]

    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout == "".join(f"7 {name}\n" for name in names if name == DUMP)


def test_the_reader_is_deleted_at_the_end(cluster, tools):
    with pytest.raises(KeyError), nightly.mounted(cluster()):
        raise KeyError

    assert f"delete {JOB} --namespace flow --wait=false" in tools.calls()[-1]


def test_the_reader_has_the_pod_of_the_job_and_writes_nothing(cluster, stack):
    with nightly.mounted(cluster()):
        pass

    reader = cluster.reader()
    (declared,) = stack("local")[0].all("kubernetes:batch/v1:CronJob")
    wanted = json.loads(json.dumps(declared.inputs["spec"]["jobTemplate"]["spec"]["template"]))
    (container,) = wanted["spec"]["containers"]
    container["command"] = ["sleep", "3600"]
    container["volumeMounts"][0]["readOnly"] = True
    wanted["spec"]["terminationGracePeriodSeconds"] = 1
    assert reader["spec"].pop("template") == wanted
    assert reader["spec"] == {
        "backoffLimit": 0,
        "activeDeadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 0,
    }, "a killed command leaves it for an hour at most"


def test_two_commands_have_two_readers_of_one_owner(cluster):
    with nightly.mounted(cluster()):
        pass

    metadata = cluster.reader()["metadata"]
    assert metadata["generateName"] == "database-backup-read-"
    (owner,) = metadata["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": CRON_JOB,
        "uid": "u-1",
    }, "`make down` deletes it with the CronJob"


def test_a_volume_that_another_node_has_is_reported(cluster, tools):
    with (
        pytest.raises(OperationError, match="while the nightly job runs, it has the volume"),
        nightly.mounted(cluster(ready=1)),
    ):
        pass

    assert f"delete {JOB}" in tools.calls()[-1]


def test_a_dump_is_copied_for_its_owner_only(cluster, tmp_path, tools):
    with nightly.mounted(cluster()) as volume:
        file = volume.copy(DUMP, tmp_path / "backups")

    assert file == tmp_path / "backups" / DUMP
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("dumped\n", 0o600)
    (call,) = [call for call in tools.calls() if " cat " in call]
    assert f"exec --namespace flow {JOB} --container dump -- cat /backups/{DUMP}" in call


@pytest.mark.parametrize(
    ("answer", "reason"),
    [({"status": 1}, "lost"), ({"content": "dum"}, "4 of 7 bytes arrived")],
)
def test_a_copy_that_is_not_complete_is_no_dump(cluster, tmp_path, answer, reason):
    with nightly.mounted(cluster(**answer)) as volume, pytest.raises(OperationError, match=reason):
        volume.copy(DUMP, tmp_path / "backups")

    assert list((tmp_path / "backups").iterdir()) == []


def test_an_unknown_dump_is_refused_with_the_known_ones(cluster, tmp_path):
    with (
        nightly.mounted(cluster()) as volume,
        pytest.raises(OperationError, match=f"no nightly dump x.dump, but: {DUMP}. Nothing was"),
    ):
        volume.copy("x.dump", tmp_path)


def test_a_stack_without_nightly_dumps_has_none(cluster, tools, tmp_path):
    with nightly.mounted(cluster(absent=True)) as volume:
        assert volume.dumps() == {}
        with pytest.raises(OperationError, match=f"no nightly dump {DUMP}, but: none"):
            volume.copy(DUMP, tmp_path)

    assert len(tools.calls()) == 1, "no pod was created"
