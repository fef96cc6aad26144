"""The DAG bundle of mode `bundle`: Airflow's own, whose checkouts survive a kill.

Mounted in `/opt/airflow/config`, which Airflow adds to the import path.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# The Airflow image contains the missing packages.

import os
import shutil
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.git.bundles.git import GitDagBundle


class RelayBundle(GitDagBundle):
    """Git repository on the relay; each version is checked out once, and completely.

    Airflow takes a folder without `.git` for a complete checkout, and never repairs one with `.git`:
    a task that is killed in its checkout would leave all later ones of its worker without DAGs.
    """

    repo_path: Any

    def initialize(self) -> None:
        try:
            super().initialize()
        except AirflowException:
            raise
        # Of other errors, a DAG processor ends: one missing repository would stop all others.
        except Exception as error:
            raise AirflowException(f"bundle {self.name} of {self.repo_url}: {error}") from error

    def _initialize(self) -> None:
        with self.lock():
            if not self.version:
                self._retry_with_a_new_clone()
                return
            complete = self.repo_path
            if complete.is_dir():
                return
            for left_by_a_kill in self.versions_dir.glob(".*"):
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
            self.repo_path = complete.with_name(f".{complete.name}.{os.getpid()}")
            try:
                self._retry_with_a_new_clone()
                self.repo_path.rename(complete)
            finally:
                self.repo_path = complete

    def _retry_with_a_new_clone(self) -> None:
        try:
            super()._initialize()
        except Exception:  # as many kinds as Git has files that a kill can truncate
            for left_by_a_kill in (self.bare_repo_path, self.repo_path):
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
            super()._initialize()
