"""All sections of a stack file, in the order of docs/settings.md."""

from pydantic import Field

from settings import versions
from settings.airflow import AirflowSettings
from settings.charts import ChartSettings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.dags import DagSettings
from settings.database import (
    ContainerDatabaseSettings,
    ExistingDatabaseSettings,
    RdsSettings,
)
from settings.git_server import GitServerSettings
from settings.images import ImageCache, ImageSettings, Mirror, image_cache
from settings.keda import KedaSettings
from settings.kubernetes import KubernetesSettings
from settings.logs import LogSettings
from settings.network import ExistingNetworkSettings, NetworkSettings
from settings.policies import PolicySettings
from settings.proxy import ProxySettings
from settings.redis import RedisSettings
from settings.rotation import RotationSettings
from settings.task_pods import TaskPodSettings
from settings.types import QUEUE_NAME, RESERVED_QUEUES, QueueName, Section
from settings.workers import WorkerSettings, all_queues, need_keda


class Settings(Section):
    cluster: EksSettings | ExistingClusterSettings = Field(
        discriminator="kind", description="New EKS cluster, or existing Kubernetes cluster"
    )
    network: NetworkSettings | ExistingNetworkSettings | None = Field(
        default=None,
        discriminator="kind",
        description="New VPC, `{}` for the defaults, or existing VPC; required for `cluster.kind: eks` and "
        "for `database.kind: rds`",
    )
    database: RdsSettings | ContainerDatabaseSettings | ExistingDatabaseSettings = Field(
        discriminator="kind",
        description="Metadata database: RDS, PostgreSQL in a container, or an existing server",
    )
    redis: RedisSettings = RedisSettings()
    dags: DagSettings
    git_server: GitServerSettings | None = Field(
        default=None, description="Git server in the cluster, for a stack without a Git host"
    )
    workers: WorkerSettings = Field(
        default=WorkerSettings(), description="Celery workers of the default queue"
    )
    queues: dict[QueueName, WorkerSettings] = Field(
        default={},
        json_schema_extra={
            "propertyNames": {"pattern": f"^{QUEUE_NAME}$", "not": {"enum": [*RESERVED_QUEUES]}}
        },
        description="Additional queues with their own workers: `name: {settings as in workers}`",
    )
    task_pods: TaskPodSettings = TaskPodSettings()
    keda: KedaSettings = KedaSettings()
    airflow: AirflowSettings = AirflowSettings()
    logs: LogSettings = LogSettings()
    images: ImageSettings = ImageSettings()
    proxy: ProxySettings = ProxySettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    charts: ChartSettings = ChartSettings()
    rotation: RotationSettings = RotationSettings()
    policies: PolicySettings = PolicySettings()

    @property
    def all_queues(self) -> dict[str, WorkerSettings]:
        return all_queues(self.workers, self.queues)

    @property
    def task_namespace(self) -> str:
        """Namespace of the pods that tasks start."""
        return f"{self.cluster.namespace}-tasks"

    @property
    def pod_queues(self) -> list[str]:
        """Queues whose tasks may start pods."""
        return [name for name, queue in self.all_queues.items() if queue.pod_operator]

    @property
    def needs_keda(self) -> bool:
        return need_keda(self.all_queues.values())

    @property
    def installs_keda(self) -> bool:
        return self.needs_keda and not self.keda.existing

    @property
    def creates_namespace(self) -> bool:
        return self.cluster.kind == "eks" or self.cluster.create_namespace

    @property
    def storage_class(self) -> str | None:
        """Of an existing cluster. On EKS the program declares the default class."""
        return self.cluster.storage_class if self.cluster.kind == "existing" else None

    @property
    def longest_grace_seconds(self) -> int:
        return max(queue.grace_seconds for queue in self.all_queues.values())

    @property
    def server_images(self) -> tuple[str, ...]:
        """Images of the pods that this program declares."""
        return self.airflow.image, self.redis.image, self.dags.git_sync_image

    def image_cache(self, stack_name: str) -> ImageCache | None:
        return image_cache(self.images, stack_name)

    @property
    def all_images(self) -> tuple[str, ...]:
        """Images of all pods."""
        database = self.database
        return (
            self.airflow.image_reference,
            self.dags.git_sync_reference,
            self.redis.image_reference,
            *([database.image_reference] if database.kind == "container" else []),
            versions.STATSD_IMAGE,
            *(versions.KEDA_IMAGES if self.installs_keda else []),
        )

    def with_copied_images(self, stack_name: str) -> "Settings":
        """The same settings, with the names that images have in `images.registry` or in the cache."""
        registry = self.images.registry
        copies = Mirror(registry=registry) if registry else self.image_cache(stack_name)
        if copies is None:
            return self
        airflow = {
            "image": copies.copy_of(self.airflow.image),
            # They follow from the name of the image on Docker Hub.
            "architectures": self.airflow.image_architectures,
        }
        dags = {"git_sync_image": copies.copy_of(self.dags.git_sync_image)}
        redis = {"image": copies.copy_of(self.redis.image)}
        changed: dict[str, Section] = {
            "airflow": self.airflow.model_copy(update=airflow),
            "dags": self.dags.model_copy(update=dags),
            "redis": self.redis.model_copy(update=redis),
        }
        if self.database.kind == "container":
            database = {"image": copies.copy_of(self.database.image)}
            changed["database"] = self.database.model_copy(update=database)
        return self.model_copy(update=changed)
