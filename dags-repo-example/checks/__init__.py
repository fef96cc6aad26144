"""What `make check` says about this repository before anybody else does."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
