"""The files of a DAG folder, as Airflow 3.2 to 3.4 find them.

Airflow 3.4 has no `list_py_file_paths`, and another `might_contain_dag`.
"""

from pathlib import Path
from zipfile import is_zipfile

from airflow._shared.module_loading import find_path_from_directory
from airflow.configuration import conf
from airflow.utils.file import might_contain_dag_via_default_heuristic


def listed(folder: Path) -> list[Path]:
    """Python and zip files that no .airflowignore excludes.

    Raises the exceptions of Airflow, for example RuntimeError at a loop of links.
    """
    syntax = conf.get_mandatory_value("core", "dag_ignore_file_syntax", fallback="glob")
    found = map(Path, find_path_from_directory(folder, ".airflowignore", syntax))
    return sorted(p for p in found if p.is_file() and (p.suffix == ".py" or is_zipfile(p)))


def is_parsed(file: Path) -> bool:
    """Whether Airflow parses a listed file: one with the words `dag` and `airflow`."""
    return might_contain_dag_via_default_heuristic(str(file))
