"""Sections `workers` and `queues`: the Celery workers of each queue."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, model_validator

from settings import limits
from settings.types import Architecture, Cpu, PolicyArn, Section

DEFAULT_QUEUE = "default"


class WorkerSettings(Section):
    min: int = Field(default=1, ge=0, le=500, description="Workers when nothing waits")
    max: int = Field(
        default=4, ge=1, le=500, description="Workers at the most: the line to change to scale"
    )
    concurrency: int = Field(
        default=8, ge=1, le=64, description="Tasks that one worker runs at a time"
    )
    cpu: Cpu = Field(default=1.0, description="CPU that a worker requests, in cores")
    memory_mb: int = Field(
        default=3072,
        ge=limits.worker_memory_mb(1),
        le=limits.NODE_GIB * 1024,
        description="Memory of a worker, in MiB",
    )
    spot: bool = Field(
        default=False, description="Spot nodes first, on-demand when there are none (EKS)"
    )
    architecture: Architecture = Field(default="amd64", description="Processor of the nodes (EKS)")
    iam_policy_arn: PolicyArn | None = Field(
        default=None, description="What its tasks may do in AWS, beside writing their logs (EKS)"
    )
    grace_seconds: int = Field(
        default=600,
        ge=30,
        le=86400,
        description="Time of a stopping worker; tasks that run 15 s before its end start again elsewhere",
    )
    scaling: Literal["queue", "cpu", "fixed"] = Field(
        default="queue",
        description="What the worker count follows: waiting and running tasks (KEDA), CPU (HPA), or nothing",
    )

    @model_validator(mode="after")
    def _numbers_fit(self) -> "WorkerSettings":
        wrong: list[str] = []
        if self.min > self.max:
            wrong.append(f"min {self.min} must not exceed max {self.max}")
        if self.scaling != "queue" and self.min < 1:
            wrong.append(f"scaling: {self.scaling} needs min >= 1; only queue can start from 0")
        least = limits.worker_memory_mb(self.concurrency)
        if self.memory_mb < least:
            wrong.append(
                f"memory_mb {self.memory_mb} is too little for concurrency {self.concurrency}: that needs "
                f"{least}, and the data of the tasks on top; raise it, or lower concurrency"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def all_queues(
    workers: WorkerSettings, queues: Mapping[str, WorkerSettings]
) -> dict[str, WorkerSettings]:
    """Settings by queue; first those of tasks that name no queue."""
    return {DEFAULT_QUEUE: workers, **queues}


def key_of(queue: str) -> str:
    """Where the settings of a queue stand."""
    return "workers" if queue == DEFAULT_QUEUE else f"queues.{queue}"


def need_keda(queues: Iterable[WorkerSettings]) -> bool:
    return any(queue.scaling == "queue" for queue in queues)
