"""Stands where Airflow looks up variables and connections, and refuses: at import each is a request."""

from airflow.secrets import BaseSecretsBackend

from checks.watch import Watch


class NoLookups(BaseSecretsBackend):
    """A secrets backend, named in AIRFLOW__SECRETS__BACKEND."""

    def get_variable(self, key: str, **_) -> None:
        Watch.current.refuse(f"asks Airflow's database at import (found Variable {key!r})")

    def get_connection(self, conn_id: str, **_) -> None:
        Watch.current.refuse(f"asks Airflow's database at import (found Connection {conn_id!r})")
