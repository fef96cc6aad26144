"""The output format of a mistake."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Mistake:
    """The text states what is wrong, what was found and what to do."""

    path: str
    line: int
    text: str
    rule: str = ""
    """Name by which pyproject.toml can excuse the rule; a mistake without one breaks the DAG."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" + (f" [{self.rule}]" if self.rule else "")
