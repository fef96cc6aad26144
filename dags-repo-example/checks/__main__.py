"""`python -m checks`: every mistake in one line, all of them at once."""

import os
import sys

from checks import ROOT, compose, dag_ids, folders, imports, local, platform, syntax


def main() -> int:
    os.chdir(ROOT)
    imports.start()
    offered, mistakes = platform.read(ROOT)
    found = set(mistakes)
    sub_path = offered.sub_path if offered else "dags"

    machine, mistakes = compose.read(ROOT)
    found |= {*mistakes, *local.check(ROOT, machine, offered)}

    trees, mistakes = syntax.check(ROOT, folders.python_files(ROOT))
    found |= {*mistakes, *folders.check(ROOT, trees, sub_path)}

    dags = imports.dag_files(ROOT / sub_path)
    if not dags:
        found.add(folders.nothing_found(ROOT, sub_path))
    files = [file for file in [*dags, *sorted(ROOT.glob("plugins/*.py"))] if file in trees]
    loaded = imports.load_all(ROOT, files, offered)
    found |= {mistake for one in loaded for mistake in one.mistakes}
    found |= set(dag_ids.check(loaded))

    if found:
        print(*sorted(found), sep="\n")
        print(f"{len(found)} mistake{'s' * (len(found) > 1)} found.")
        return 1
    count = sum(len(one.dags) for one in loaded)
    slowest = max(loaded, key=lambda one: one.seconds)
    print(
        f"All is well: {count} DAGs in {len(dags)} files, "
        f"the slowest is {slowest.path} with {slowest.seconds:.2f} s."
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
