"""What the relay publishes, counts and says, asked inside its pod."""

import re
from dataclasses import dataclass
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_for

POD = "dag-relay-0"
# Python is in the image that serves, and both containers share their loopback.
METRICS = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
)


@dataclass(frozen=True, kw_only=True)
class Relay:
    cluster: Cluster

    def published(self) -> str:
        """The commit that the pods of Airflow get."""
        return self._run("git", "--git-dir=/git/dags.git", "rev-parse", "dags")

    def read(self, path: str) -> str:
        return self._run("git", "--git-dir=/git/dags.git", "show", f"dags:{path}")

    def publishes(self, commit: str, seconds: float = 120) -> None:
        wait_for(f"commit {commit} in the relay", lambda: self.published() == commit, seconds)

    def errors(self, metric: str = "git_sync_count_total") -> float:
        """How often git-sync counted an error."""
        found = re.findall(
            rf'^{metric}{{[^}}]*status="error"[^}}]*}} (\S+)$',
            self._run("python", "-c", METRICS),
            re.M,
        )
        return sum(map(float, found))

    def counts_errors(self, metric: str = "git_sync_count_total") -> None:
        before = self.errors(metric)
        wait_for(f"more errors in {metric}", lambda: self.errors(metric) > before)

    def said(self) -> str:
        return self.cluster.kubectl("-n", "airflow", "logs", POD, "-c", "git-sync", "--tail=200")

    def _run(self, *words: str) -> Any:
        inside = ["-n", "airflow", "exec", POD, "-c", "dag-relay", "--", *words]
        return self.cluster.kubectl(*inside, check=False).strip()
