"""All sections of a stack file."""

from typing import Annotated

from pydantic import Field

from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.dags import DagSettings
from settings.database import ContainerDatabaseSettings, RdsSettings
from settings.git_server import GitServerSettings
from settings.keda import KedaSettings
from settings.logs import LogSettings
from settings.network import NetworkSettings
from settings.policies import PolicySettings
from settings.redis import RedisSettings
from settings.rotation import RotationSettings
from settings.types import QueueName, Section
from settings.workers import WorkerSettings, all_queues, need_keda


class Settings(Section):
    cluster: Annotated[EksSettings | ExistingClusterSettings, Field(discriminator="kind")]
    network: NetworkSettings | None = Field(
        default=None, description="Required for `cluster.kind: eks`; `{}` for the defaults"
    )
    database: Annotated[RdsSettings | ContainerDatabaseSettings, Field(discriminator="kind")]
    redis: RedisSettings = RedisSettings()
    dags: DagSettings
    git_server: GitServerSettings | None = Field(
        default=None, description="A Git server in the cluster, for a stack that has no Git host"
    )
    workers: WorkerSettings = WorkerSettings()
    queues: dict[QueueName, WorkerSettings] = Field(
        default={},
        description="More queues with workers of their own: `name: {the settings of workers}`",
    )
    keda: KedaSettings = KedaSettings()
    airflow: AirflowSettings = AirflowSettings()
    logs: LogSettings = LogSettings()
    charts: ChartSettings = ChartSettings()
    rotation: RotationSettings = RotationSettings()
    policies: PolicySettings = PolicySettings()

    @property
    def all_queues(self) -> dict[str, WorkerSettings]:
        return all_queues(self.workers, self.queues)

    @property
    def needs_keda(self) -> bool:
        return need_keda(self.all_queues.values())

    @property
    def installs_keda(self) -> bool:
        return self.needs_keda and not self.keda.existing

    @property
    def longest_grace_seconds(self) -> int:
        return max(queue.grace_seconds for queue in self.all_queues.values())
