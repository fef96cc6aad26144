"""Runs inside Airflow's environment: one run of a DAG in this process, which `breakpoint()` stops."""

import sys

from airflow.cli.cli_parser import get_parser
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import update


def set_paused(dag_id: str, paused: bool) -> bool:
    """Pause or unpause a DAG; return whether that changed it."""
    with create_session() as session:
        change = update(DagModel).where(DagModel.dag_id == dag_id, DagModel.is_paused != paused)
        return session.execute(change.values(is_paused=paused)).rowcount > 0


def main(dag_id: str) -> None:
    arguments = get_parser().parse_args(["dags", "test", dag_id])
    # The scheduler of a running Airflow would start the same tasks on its worker.
    was_running = set_paused(dag_id, True)
    try:
        arguments.func(arguments)
    finally:
        if was_running:
            set_paused(dag_id, False)


if __name__ == "__main__":
    main(sys.argv[1])
