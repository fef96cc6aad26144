"""How the pods of Airflow, and KEDA, connect to PostgreSQL."""

from dataclasses import dataclass

import pulumi

# Of the databases that this program creates.
PORT = 5432
USER = NAME = "airflow"


@dataclass(frozen=True, kw_only=True)
class DatabaseLogin:
    host: pulumi.Input[str]
    port: int = PORT
    name: str = NAME
    user: str = USER
    password: pulumi.Output[str]
    # CA bundle (PEM): clients then require TLS and verify the certificate of the server.
    ca: str | None = None

    @property
    def keda_user(self) -> str:
        """Roles belong to the server, not to a database: stacks on one server have different ones."""
        return f"{self.user}_keda"
