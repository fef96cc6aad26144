"""Sections `workers` and `queues`: the Celery workers of each queue."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, model_validator

from settings import limits
from settings.arns import PolicyArn
from settings.types import (
    Architecture,
    Cpu,
    InstanceFamily,
    Option,
    SecretKey,
    Section,
    VariableName,
)

DEFAULT_QUEUE = "default"


class WorkerSettings(Section):
    min: int = Field(default=1, ge=0, le=500, description="Minimum number of workers")
    max: int = Field(default=4, ge=1, le=500, description="Maximum number of workers")
    concurrency: int = Field(default=8, ge=1, le=64, description="Task slots of a worker")
    cpu: Cpu = Field(default=1.0, description="CPU request of a worker")
    memory_mb: int = Field(
        default=3072,
        ge=limits.worker_memory_mb(1),
        le=limits.NODE_GIB * 1024,
        description="Memory request and limit of a worker",
    )
    task_memory_mb: int | None = Field(
        default=None,
        ge=0,
        description="Memory of one task, with its processes: a task that uses more ends with an error in "
        "its log. If not set, the largest task ends when the worker has no memory left; 0: no task is "
        "ended",
    )
    xcom_limit_mb: int = Field(
        default=16,
        ge=0,
        description="Size of one XCom in the database: a larger one fails its task, without a retry. "
        "0: no limit",
    )
    disk_gb: int = Field(
        default=10,
        ge=1,
        description="Disk request and limit of a worker, for data of its tasks, log files and DAGs (EKS)",
    )
    spot: bool = Field(default=False, description="Prefer spot nodes, fall back to on-demand (EKS)")
    architecture: Architecture = Field(
        default="amd64", description="Architecture of the nodes (EKS)"
    )
    instance_families: tuple[InstanceFamily, ...] | None = Field(
        default=None,
        min_length=1,
        description="EC2 instance families of the nodes, such as `r8g` or `g6`; if not set, all of the "
        "categories c, m and r, or with `gpu` g and p (EKS)",
        strict=False,
    )
    gpu: int = Field(
        default=0,
        ge=0,
        le=limits.NODE_GPUS,
        description="NVIDIA GPUs of a worker, shared by its tasks",
    )
    pod_operator: bool = Field(
        default=False,
        description="Allow the tasks to start pods with KubernetesPodOperator, in a namespace of their "
        "own (`task_pods`)",
    )
    iam_policy_arn: PolicyArn | None = Field(
        default=None,
        description="IAM policy for the AWS access of the tasks, besides log writing (EKS)",
    )
    grace_seconds: int = Field(
        default=600,
        ge=30,
        le=86400,
        description="Grace period of a stopping worker; tasks still running 15 s before its end are requeued",
    )
    env: dict[VariableName, Option] = Field(
        default={}, description="Environment variables of the workers: `NAME: value`"
    )
    secret_env: dict[VariableName, SecretKey] = Field(
        default={},
        description="Environment variables of the workers, from Kubernetes Secrets: `NAME: secret/key`",
    )
    scaling: Literal["queue", "cpu", "fixed"] = Field(
        default="queue",
        description="Scale on queued and running tasks (KEDA), on CPU (HPA), or not at all",
    )

    @model_validator(mode="after")
    def _numbers_fit(self) -> "WorkerSettings":
        wrong: list[str] = []
        if self.min > self.max:
            wrong.append(f"min {self.min} must not exceed max {self.max}")
        if self.scaling != "queue" and self.min < 1:
            wrong.append(f"scaling: {self.scaling} needs min >= 1; only queue can start from 0")
        needed = limits.worker_memory_mb(self.concurrency)
        if self.memory_mb < needed:
            wrong.append(
                f"memory_mb {self.memory_mb} is too low for concurrency {self.concurrency}: a worker needs "
                f"at least {needed}, plus the data of its tasks; raise memory_mb, or lower concurrency"
            )
        most = self.memory_mb - limits.WORKER_MB
        if self.task_memory_mb and not limits.SMALL_TASK_MB <= self.task_memory_mb <= most:
            wrong.append(
                f"task_memory_mb should be 0, or from {limits.SMALL_TASK_MB}, which a task without data "
                f"needs, to {most}, which memory_mb {self.memory_mb} leaves for tasks; found "
                f"{self.task_memory_mb}"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def all_queues(
    workers: WorkerSettings, queues: Mapping[str, WorkerSettings]
) -> dict[str, WorkerSettings]:
    """Settings by queue, starting with the default queue, which the section `workers` configures."""
    return {DEFAULT_QUEUE: workers, **queues}


def key_of(queue: str) -> str:
    """Key of the settings of a queue."""
    return "workers" if queue == DEFAULT_QUEUE else f"queues.{queue}"


def need_keda(queues: Iterable[WorkerSettings]) -> bool:
    return any(queue.scaling == "queue" for queue in queues)
