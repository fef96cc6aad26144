"""The values of the program on top of values/: what Helm would drop is merged, or refused.

Helm merges maps, but takes a list from one layer only. The chart takes lists, and maps such as
annotations, of a worker set instead of those of `workers.celery`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi

Values = dict[str, Any]
Path = tuple[str, ...]

# Keys that identify an entry: of `secret`, of volume mounts, of `env`, volumes and containers.
IDENTITIES = ("envName", "mountPath", "name")
CELERY = ("workers", "celery")
# Where the stack file has the setting for a value of the program; the first match applies.
SETTINGS = {
    "airflowVersion": "airflow.version",
    "defaultAirflow": "airflow.image",
    "images.gitSync": "dags.git_sync_image",
    "dags.": "dags",
    "workers.celery.sets": "queues",
    "workers.": "workers and queues",
    "scheduler.replicas": "airflow.replicas.scheduler",
    "dagProcessor.replicas": "airflow.replicas.dag_processor",
    "triggerer.replicas": "airflow.replicas.triggerer",
    "apiServer.replicas": "airflow.replicas.api_server",
    "ingress.": "airflow.ingress",
    "env.": "airflow.env",
    "secret.": "airflow.secret_env",
    "config.": "airflow.config",
}


@dataclass(frozen=True)
class _Merge:
    """One merge of two layers: what Helm would do differently."""

    # The later layer is the program, which wins; a file overrides an earlier one on purpose.
    program: bool
    joined: dict[Path, list[Any]] = field(default_factory=dict)
    replaced: dict[Path, str] = field(default_factory=dict)

    def maps(self, below: Values, above: Values, at: Path = ()) -> Values:
        merged = dict(below)
        for key, value in above.items():
            path, old = (*at, key), below.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                merged[key] = self.maps(cast(Values, old), cast(Values, value), path)
            elif isinstance(old, list) and isinstance(value, list):
                merged[key] = self._lists(cast(list[Any], old), cast(list[Any], value), path)
            else:
                merged[key] = value
                if self.program and old is not None and old != value:
                    self.replaced[path] = _set_by(path)
        return merged

    def _lists(self, below: list[Any], above: list[Any], path: Path) -> list[Any]:
        old, new = _by_identity(below), _by_identity(above)
        if old is not None and new is not None:
            if self.program:
                twice = [name for name in new if name in old and new[name] != old[name]]
                self.replaced.update({(*path, name): _set_by((*path, name)) for name in twice})
            self.joined[path] = [*{**old, **new}.values()]
            return self.joined[path]
        if below != above:
            if self.program:
                self.replaced[path] = _set_by(path)
            elif any(isinstance(entry, dict) for entry in (*below, *above)):
                self.replaced[path] = (
                    "Helm takes this list instead of the one in an earlier file of values/; move the "
                    "entries of both into the files of the platforms"
                )
        return above  # a command line, for example, is one value


def on_files(files: Mapping[str, Values], wired: Values, options: Collection[str]) -> Values:
    """`wired`, with the lists that it or a file would replace in an earlier file.

    `options` are the `section.option` of the stack file, which override those of values/.
    Raises `pulumi.RunError` with every value of a file that would not arrive.
    """
    below: Values = {}
    merges = [_Merge(program=False) for _ in files]
    for merge, values in zip(merges, files.values(), strict=True):
        below = merge.maps(below, values)
    celery = below.get("workers", {}).get("celery", {})
    merges.append(top := _Merge(program=True))
    top.maps(below, wired)
    if "sets" in celery:
        top.replaced[*CELERY, "sets"] = _set_by((*CELERY, "sets"))
    lists = {path: entries for merge in merges for path, entries in merge.joined.items()}
    sets: list[Values] = []
    for each in wired["workers"]["celery"]["sets"]:
        merges.append(of_set := _Merge(program=True))
        sets.append(of_set.maps({k: celery[k] for k in each if k in celery}, each, CELERY))
    for option in options:
        top.replaced.pop(("config", *option.split(".", 1)), None)
    replaced = {path: what for merge in merges for path, what in merge.replaced.items()}
    if replaced:
        raise pulumi.RunError("\n".join(_report(files, replaced)))
    return _with({**lists, (*CELERY, "sets"): sets}, wired)


def _by_identity(entries: list[Any]) -> dict[str, Any] | None:
    """Entries by the key that identifies them; None if one entry has no such key."""
    found: dict[str, Any] = {}
    for entry in entries:
        names = (
            [entry[key] for key in IDENTITIES if key in entry] if isinstance(entry, dict) else []
        )
        if not names:
            return None
        found[str(names[0])] = entry
    return found


def _set_by(path: Path) -> str:
    where = f"{'.'.join(path)}."
    setting = next((name for start, name in SETTINGS.items() if where.startswith(start)), None)
    by = f"{setting} of the stack file" if setting else "the program"
    return f"is set by {by}; remove it here"


def _report(files: Mapping[str, Values], replaced: Mapping[Path, str]) -> Iterator[str]:
    """Mistakes by file: each one below the last file that has its path."""
    found: dict[str, list[str]] = {}
    for path, what in replaced.items():
        file = [name for name, values in files.items() if _has(values, path)][-1]
        found.setdefault(file, []).append(f"  {'.'.join(path)}: {what}")
    for file, lines in found.items():
        yield from (f"values/{file}:", *lines)


def _has(values: Any, path: Path) -> bool:
    for key in path:
        inner = _by_identity(cast(list[Any], values)) if isinstance(values, list) else values
        if not isinstance(inner, dict) or key not in inner:
            return False
        values = cast(Values, inner)[key]
    return True


def _with(lists: Mapping[Path, list[Any]], wired: Values) -> Values:
    result = dict(wired)
    for (*parents, last), entries in lists.items():
        inner = result
        for key in parents:
            inner[key] = dict(inner.get(key, {}))
            inner = inner[key]
        inner[last] = entries
    return result
