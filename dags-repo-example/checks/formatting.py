"""`python -m checks.formatting`: name the files that `make format` would change."""

import os
import subprocess
import sys
from pathlib import Path

from checks import ROOT

SHOWN = 5


def main() -> int:
    os.chdir(ROOT)
    ruff = Path(sys.executable).with_name("ruff")
    # Files with a syntax error are reported by the other steps.
    done = subprocess.run(
        [str(ruff), "format", "--check", "."], capture_output=True, text=True, check=False
    )
    prefix = "Would reformat: "
    lines = done.stdout.splitlines()
    files = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    if files:
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        print(f"Not formatted: {', '.join(files[:SHOWN])}{more}; run `make format`.")
    return 1 if files else 0


if __name__ == "__main__":
    sys.exit(main())
