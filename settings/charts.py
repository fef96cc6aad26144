"""Section `charts`: the source of the Helm charts."""

from pydantic import Field

from settings.types import ChartSource, Section


class ChartSettings(Section):
    source: ChartSource | None = Field(
        default=None,
        description="Repository URL or directory of the charts; the projects' own repositories if not set",
    )
