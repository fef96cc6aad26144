"""The files of a DAG folder, as Airflow finds them."""

from pathlib import Path
from zipfile import is_zipfile

# Of Airflow 3.2 to 3.4; `list_py_file_paths` ended with 3.3.
from airflow._shared.module_loading import find_path_from_directory
from airflow.configuration import conf


def listed(folder: Path) -> list[Path]:
    """Python and zip files that no .airflowignore excludes.

    Raises the exceptions of Airflow, for example RuntimeError at a loop of links.
    """
    syntax = conf.get_mandatory_value("core", "dag_ignore_file_syntax", fallback="glob")
    found = map(Path, find_path_from_directory(folder, ".airflowignore", syntax))
    return sorted(p for p in found if p.is_file() and (p.suffix == ".py" or is_zipfile(p)))
