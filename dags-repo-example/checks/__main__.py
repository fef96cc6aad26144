"""`python -m checks`: report all mistakes of the repository, one per line."""

import os
import sys

from checks import (
    ROOT,
    compose_file,
    compose_rules,
    dag_ids,
    folders,
    imports,
    platform_file,
    syntax,
)


def main() -> int:
    os.chdir(ROOT)
    imports.start_forkserver()
    platform, mistakes = platform_file.read(ROOT)
    found = set(mistakes)
    sub_path = platform.sub_path if platform else "dags"

    project, mistakes = compose_file.read(ROOT)
    found |= {*mistakes, *compose_rules.check(ROOT, project, platform)}

    trees, mistakes = syntax.check(ROOT, folders.python_files(ROOT))
    found |= {*mistakes, *folders.check(ROOT, trees, sub_path)}

    dag_files = imports.dag_files(ROOT / sub_path)
    if not dag_files:
        found.add(folders.no_dag_files(ROOT, sub_path))
    files = [file for file in [*dag_files, *sorted(ROOT.glob("plugins/*.py"))] if file in trees]
    results = imports.import_all(ROOT, files, platform)
    found |= {mistake for result in results for mistake in result.mistakes}
    found |= set(dag_ids.check(results))

    if found:
        print(*sorted(found), sep="\n")
        print(f"{len(found)} mistake{'s' * (len(found) > 1)} found.")
        return 1
    count = sum(len(result.dags) for result in results)
    slowest = max(results, key=lambda result: result.seconds)
    print(
        f"No mistakes: {count} DAGs in {len(dag_files)} files, "
        f"slowest import {slowest.path} ({slowest.seconds:.2f} s)."
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
