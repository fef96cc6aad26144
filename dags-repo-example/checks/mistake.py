"""A mistake, as its author reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Mistake:
    """Where it is, and in one sentence: what is wrong, what was found, what to do."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"
