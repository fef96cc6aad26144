"""`python -m checks`: report all mistakes of the repository, one per line."""

import os
import sys

from checks import ROOT, excuses, repository


def main() -> int:
    os.chdir(ROOT)
    report = repository.check(ROOT)
    if report.mistakes:
        print(*sorted(report.mistakes), sep="\n")
        deprecated = any(mistake.rule == "deprecated" for mistake in report.mistakes)
        fix = "; `make migrate` replaces names of Airflow 2" * deprecated
        print(f"{len(report.mistakes)} mistake{'s' * (len(report.mistakes) > 1)} found{fix}.")
        return 1
    with_dags = [result for result in report.results if result.dags]
    count = sum(len(result.dags) for result in with_dags)
    slowest = max(report.results, key=lambda result: result.seconds)
    excused = f", {report.excused} excused in {excuses.FILE}" if report.excused else ""
    print(
        f"No mistakes: {count} DAGs in {len(with_dags)} files, "
        f"slowest import {slowest.path} ({slowest.seconds:.2f} s){excused}."
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
