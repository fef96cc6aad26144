"""Static and import checks of this repository: `make check` runs them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
