"""DAG ids are unique and match the file name."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath

from checks.imports import ImportResult
from checks.mistake import Mistake


def check(results: list[ImportResult]) -> Iterable[Mistake]:
    places = defaultdict(list)
    for result in results:
        for dag_id, line in result.dags:
            places[dag_id].append((result.path, line))
    for dag_id, found in places.items():
        for index, (path, line) in enumerate(found):
            others = [f"{path}:{line}" for path, line in found[:index] + found[index + 1 :]]
            yield from check_id(dag_id, path, line, others)


def check_id(dag_id: str, path: str, line: int, others: list[str]) -> Iterable[Mistake]:
    stem = PurePath(path).stem
    if others:
        text = (
            f"duplicate DAG id '{dag_id}', Airflow would load only one of the DAGs (also found at "
            f"{', '.join(others)}); rename one of them"
        )
        yield Mistake(path, line, text)
    elif dag_id != stem and not dag_id.startswith(f"{stem}_"):
        text = (
            f"DAG id '{dag_id}' does not match its file name, by which alerts are traced (found "
            f"{stem}.py); rename the DAG to '{stem}', or to '{stem}_...' if the file has several"
        )
        yield Mistake(path, line, text)
