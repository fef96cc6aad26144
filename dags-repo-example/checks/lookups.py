"""Secrets backend that refuses lookups: at import each would be a request to the API server."""

from airflow.secrets import BaseSecretsBackend

from checks.watch import Watch


class NoLookups(BaseSecretsBackend):
    """Configured in AIRFLOW__SECRETS__BACKEND."""

    def get_variable(self, key: str, **_) -> None:
        Watch.current.refuse(f"reads an Airflow Variable at import (found {key!r})")

    def get_connection(self, conn_id: str, **_) -> None:
        Watch.current.refuse(f"reads an Airflow Connection at import (found {conn_id!r})")
