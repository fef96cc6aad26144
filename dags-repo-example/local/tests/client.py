"""Client of Airflow's API: what a DAG author does in the UI."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from local import env_file

Found = TypeVar("Found")


def wait_for(what: str, find: Callable[[], Found | None], seconds: float) -> Found:
    """Poll `find` until it returns a truthy value; return that value."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"timed out after {seconds} s: {what}"
        time.sleep(0.1)
    return found


class Client:
    def __init__(self, url: str, folder: Path) -> None:
        password = env_file.parse((folder / ".env").read_text())["ADMIN_PASSWORD"]
        self.url = url
        self.folder = folder
        self._headers = {"Accept": "application/json"}
        login = {"username": "admin", "password": password}
        token = self.call("POST", "/auth/token", login)["access_token"]
        self._headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.url}{path}"
        response = httpx.request(method, url, json=body, headers=self._headers, timeout=20)
        response.raise_for_status()
        return response.json()

    def dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}

    def trigger(self, dag: str) -> str:
        """Unpause a DAG and trigger a run; new DAGs are paused."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        run = self.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": {}})
        return run["dag_run_id"]

    def state(self, dag: str, run: str) -> str:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]

    def run(self, dag: str, seconds: float = 90) -> str:
        """Run a DAG; assert its success and return the run id."""
        run = self.trigger(dag)

        def final_state() -> str | None:
            state = self.state(dag, run)
            return state if state in ("success", "failed") else None

        assert wait_for(f"run of {dag} to finish", final_state, seconds) == "success"
        return run

    def log(self, dag: str, run: str, task: str) -> str:
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/1?map_index=-1"
        return "\n".join(line["event"] for line in self.call("GET", path)["content"])
