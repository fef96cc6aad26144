"""The published commit, metrics and log of the DAG relay."""

import re
from dataclasses import dataclass

from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_for

POD = "dag-relay-0"
# From the container with Python: the containers of a pod share loopback.
METRICS = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
)


@dataclass(frozen=True, kw_only=True)
class Relay:
    cluster: Cluster

    def published(self) -> str:
        """The commit that the pods of Airflow fetch."""
        return self._run("git", "--git-dir=/git/dags.git", "rev-parse", "dags")

    def read(self, path: str) -> str:
        return self._run("git", "--git-dir=/git/dags.git", "show", f"dags:{path}")

    def wait_published(self, commit: str, seconds: float = 120) -> None:
        wait_for(f"commit {commit} in the relay", lambda: self.published() == commit, seconds)

    def errors(self, metric: str = "git_sync_count_total") -> float:
        """Number of errors in a metric of git-sync."""
        found = re.findall(
            rf'^{metric}{{[^}}]*status="error"[^}}]*}} (\S+)$',
            self._run("python", "-c", METRICS),
            re.M,
        )
        return sum(map(float, found))

    def wait_errors(self, metric: str = "git_sync_count_total") -> None:
        before = self.errors(metric)
        wait_for(f"more errors in {metric}", lambda: self.errors(metric) > before)

    def log(self) -> str:
        return self.cluster.kubectl("-n", "airflow", "logs", POD, "-c", "git-sync", "--tail=200")

    def rejected(self) -> str:
        """Why the newest commit is not published."""
        return self._run("sh", "-c", "cat /git/dags.git.rejected 2>/dev/null || true")

    def _run(self, *words: str) -> str:
        return self.cluster.exec(POD, "dag-relay", *words, check=False).strip()
