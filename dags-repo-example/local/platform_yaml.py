"""Values of platform.yaml, also for `make` without .venv; `python platform_yaml.py queues` prints a list.

Only the standard library, except for lists. `make check` reports mistakes in the file.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def scalar(key: str, default: str = "", root: Path = ROOT) -> str:
    path = root / "platform.yaml"
    text = path.read_text() if path.exists() else ""
    found = re.search(rf"^{key}: *[\"']?([^\s\"'#]+)", text, re.MULTILINE)
    return found[1] if found else default


def names(key: str, root: Path = ROOT) -> list[str]:
    import yaml

    path = root / "platform.yaml"
    values = yaml.safe_load(path.read_text()) if path.exists() else {}
    found = values.get(key) if isinstance(values, dict) else None
    return [str(name) for name in found or []]


if __name__ == "__main__":
    print(",".join(names(sys.argv[1])))
