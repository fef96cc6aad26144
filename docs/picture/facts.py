"""What the architecture picture says of a stack on AWS."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Subnets of one availability zone, as CIDR blocks; whether it has a NAT gateway of its own."""

    public: str
    private: str
    nat: bool


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """`cidrs` are the networks that it admits."""

    host: str
    internal: bool
    cidrs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Git:
    """`ref` is a branch, tag or commit, and says which; the relay asks for news every `seconds`."""

    host: str
    path: str
    ref: str
    folder: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Of one worker: `tasks` at a time, `cpu` in cores, `memory` in GiB; `capacity` of its nodes.

    It is one of the queue `default`; `others` are the names of further queues.
    """

    others: tuple[str, ...]
    min: int
    max: int
    scaling: Literal["queue", "cpu", "fixed"]
    tasks: int
    cpu: float
    memory: float
    capacity: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Database:
    """Storage in GiB: at the start, and what it grows to."""

    version: str
    instance_class: str
    storage: int
    max_storage: int
    backup_days: int
    multi_az: bool
    tls_only: bool


@dataclass(frozen=True, kw_only=True)
class Redis:
    """`volume` is a Kubernetes quantity such as `10Gi`."""

    version: str
    volume: str


@dataclass(frozen=True, kw_only=True)
class Keda:
    """It asks the database every `seconds`."""

    seconds: int


@dataclass(frozen=True, kw_only=True)
class Logs:
    """`days` that the bucket keeps task logs."""

    days: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """`replicas` by the chart's name of the component. None: the stack has no such thing.

    `endpoint_cidrs` are the networks that reach the public Kubernetes endpoint.
    """

    stack: str
    region: str
    vpc: str
    zones: tuple[Zone, ...]
    kubernetes: str
    endpoint_cidrs: tuple[str, ...] | None
    namespace: str
    airflow: str
    url: str
    replicas: dict[str, int]
    workers: Workers
    git: Git
    redis: Redis
    database: Database
    logs: Logs
    keda: Keda | None
    load_balancer: LoadBalancer | None
