"""Airflow's REST API."""

import json
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_for


@dataclass(frozen=True, kw_only=True)
class Api:
    """A session of the user admin."""

    url: str
    # Not in the repr: a failed test prints its arguments.
    token: str = field(repr=False)

    @classmethod
    @contextmanager
    def open(cls, cluster: Cluster) -> Generator["Api"]:
        with cluster.forward("svc/airflow-api-server", 8080) as port:
            url = f"http://127.0.0.1:{port}"
            login = {"username": "admin", "password": cluster.secret("airflow-admin", "password")}
            token = _request("POST", f"{url}/auth/token", login, None)["access_token"]
            yield cls(url=url, token=token)

    def get(self, path: str) -> Any:
        return _request("GET", f"{self.url}/api/v2/{path}", None, self.token)

    def found(self, path: str) -> Any:
        """Like `get`, but None if the API answers 404."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def live(self, dag: str) -> dict[str, Any] | None:
        """The DAG in the list of DAGs, or None. `dags/<id>` also returns a deleted DAG."""
        listed = self.get(f"dags?dag_id_pattern={dag}")["dags"]
        return next((found for found in listed if found["dag_id"] == dag), None)

    def run(self, dag: str) -> dict[str, Any]:
        """Trigger a run and wait until it ends."""
        return self.ended(dag, self.start(dag))

    def start(self, dag: str, **conf: Any) -> str:
        """Trigger a run as soon as Airflow lists the DAG; the ID of the run."""
        self.switch(dag, on=True)
        return self.trigger(dag, **conf)

    def trigger(self, dag: str, **conf: Any) -> str:
        """Trigger a run of a listed DAG; its ID."""
        start = {"logical_date": None, "conf": conf}
        run = _request("POST", f"{self.url}/api/v2/dags/{dag}/dagRuns", start, self.token)
        return run["dag_run_id"]

    def start_task(self, dag: str, *, within: float = 180, **conf: Any) -> str:
        """Trigger a run and wait until its task `answer` runs on a worker; the ID of the run."""
        run = self.start(dag, **conf)
        wait_for(
            f"a running task of {dag}",
            lambda: self.state_of(dag, run, "answer") == "running",
            within,
        )
        return run

    def clear(self, dag: str, run: str) -> None:
        """Let all tasks of a run start again."""
        path = f"{self.url}/api/v2/dags/{dag}/clearTaskInstances"
        all_tasks = {"dag_run_id": run, "dry_run": False, "only_failed": False}
        _request("POST", path, all_tasks, self.token)

    def stop(self, dag: str, run: str) -> None:
        """Mark a run as failed: Airflow then stops its tasks."""
        path = f"{self.url}/api/v2/dags/{dag}/dagRuns/{run}"
        _request("PATCH", path, {"state": "failed"}, self.token)

    def switch(self, dag: str, *, on: bool) -> None:
        """Pause or unpause a DAG as soon as Airflow lists it."""
        wait_for(f"the DAG {dag}", lambda: self.live(dag), seconds=60)
        _request("PATCH", f"{self.url}/api/v2/dags/{dag}", {"is_paused": not on}, self.token)

    def ended(self, dag: str, run: str) -> dict[str, Any]:
        """Wait until a run ends. The limit includes the time in which a worker reconnects."""

        def in_final_state() -> Any:
            found = self.get(f"dags/{dag}/dagRuns/{run}")
            return found["state"] in ("success", "failed") and found

        try:
            return wait_for(f"the run of {dag}", in_final_state, seconds=300)
        except TimeoutError as error:
            tasks = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            shown = ("task_id", "map_index", "state", "try_number", "hostname", "queued_when")
            error.add_note("\n".join(str({key: task[key] for key in shown}) for task in tasks))
            error.add_note(str(self.get("monitor/health")))
            raise

    def succeeded_at_first_try(self, dag: str, run: str) -> bool:
        """Wait until a run succeeds; whether its task `answer` had one try. A lost task has two."""
        assert self.ended(dag, run)["state"] == "success"
        return self.task(dag, run, "answer")["try_number"] == 1

    def task(self, dag: str, run: str, task: str) -> dict[str, Any]:
        return self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}")

    def state_of(self, dag: str, run: str, task: str) -> str | None:
        return self.task(dag, run, task)["state"]

    def returned(self, dag: str, run: str, task: str) -> Any:
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.get(path)["value"]


def _request(method: str, url: str, body: Any, token: str | None) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
