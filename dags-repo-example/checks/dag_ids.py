"""Is every DAG the only one of its name, and is its file found by that name?"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath

from checks.imports import Loaded
from checks.mistake import Mistake


def check(loaded: list[Loaded]) -> Iterable[Mistake]:
    places = defaultdict(list)
    for one in loaded:
        for dag_id, line in one.dags:
            places[dag_id].append((one.path, line))
    for dag_id, found in places.items():
        for index, (path, line) in enumerate(found):
            others = [f"{path}:{line}" for path, line in found[:index] + found[index + 1 :]]
            yield from of_one(dag_id, path, line, others)


def of_one(dag_id: str, path: str, line: int, others: list[str]) -> Iterable[Mistake]:
    stem = PurePath(path).stem
    if others:
        text = (
            f"DAG '{dag_id}' is there twice, and Airflow would run one of them (found "
            f"{', '.join(others)} too); give this one or the other another name"
        )
        yield Mistake(path, line, text)
    elif dag_id != stem and not dag_id.startswith(f"{stem}_"):
        text = (
            f"DAG '{dag_id}' is not named like its file, by which an alert is traced (found {stem}.py); "
            f"name it '{stem}', or '{stem}_' and more if the file has several"
        )
        yield Mistake(path, line, text)
