"""Section `charts`: the source of the Helm charts."""

from pydantic import Field

from settings.types import ChartSource, Section


class ChartSettings(Section):
    """Source of the Helm charts"""

    source: ChartSource | None = Field(
        default=None,
        description="Chart repository URL or directory; if not set, the repositories of the projects",
    )
