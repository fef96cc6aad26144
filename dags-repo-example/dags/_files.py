"""Files that are written whole or not at all."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def replace_file(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it sees the old text or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a file can be renamed in one step only within one file system.
    with NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as draft:
        try:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
