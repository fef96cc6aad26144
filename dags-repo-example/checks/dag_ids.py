"""DAG ids are unique and match the file name."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from checks.mistake import Mistake


@dataclass(frozen=True)
class FoundDag:
    """The place of a DAG. Generated ids and those of `@asset` are not named like the file."""

    dag_id: str
    path: str
    line: int
    is_named: bool


def check(dags: list[FoundDag]) -> Iterable[Mistake]:
    places = defaultdict(list)
    for dag in dags:
        places[dag.dag_id].append(dag)
    for found in places.values():
        for index, dag in enumerate(found):
            others = [f"{other.path}:{other.line}" for other in found[:index] + found[index + 1 :]]
            yield from check_id(dag, others)


def check_id(dag: FoundDag, others: list[str]) -> Iterable[Mistake]:
    stem = PurePath(dag.path).stem.replace("-", "_")
    if others:
        text = (
            f"duplicate DAG id '{dag.dag_id}', Airflow would load only one of the DAGs (also found "
            f"at {', '.join(others)}); rename one of them"
        )
        yield Mistake(dag.path, dag.line, text)
    elif dag.is_named and not f"{dag.dag_id}_".replace("-", "_").startswith(f"{stem}_"):
        text = (
            f"DAG id '{dag.dag_id}' does not match its file name, by which alerts are traced (found "
            f"{PurePath(dag.path).name}); rename the DAG to '{stem}', or to '{stem}_...' if the file "
            "has several"
        )
        yield Mistake(dag.path, dag.line, text, "file-name")
