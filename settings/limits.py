"""Limits of AWS, Kubernetes and Airflow, each with its source."""

import re

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
# LEAST(DBInstanceClassMemory / 9531392, 5000); RDS and the operating system reserve about a tenth.
BYTES_PER_CONNECTION = 9_531_392
MAX_CONNECTIONS = 5000
USABLE_MEMORY = 0.9

# https://aws.amazon.com/rds/instance-types/ : GiB of the `large` size by family, and of smaller sizes.
_LARGE_GIB = {"t": 8, "m": 8, "r": 16}
_SMALL_GIB = {"micro": 1, "small": 2, "medium": 4}
INSTANCE_CLASS = (
    r"^db\.(t3|t4g)\.(micro|small|medium|large|xlarge|2xlarge)$"
    r"|^db\.[mr][5-8][a-z]*\.(large|xlarge|(2|4|8|12|16|24|32|48)xlarge)$"
)

CONTAINER_MAX_CONNECTIONS = 200

# SQLAlchemy's pool of one Airflow process ([database] sql_alchemy_pool_size, sql_alchemy_max_overflow).
POOL_SIZE = 5
MAX_OVERFLOW = 10
# For the migration job, manual `airflow` commands, monitoring, the lock of the DAG processor, and
# PostgreSQL's own reserve of 3.
RESERVED_CONNECTIONS = 15

# KEDA queries the database twice per queue, in its own loop and for the HPA. After a node failure the
# old connections stay open for a while, so the limit is higher than the need.
KEDA_CONNECTIONS = 2
KEDA_CONNECTION_LIMIT = 5

# The largest c, m or r instance of both architectures: r7i.48xlarge, r8g.48xlarge.
# https://docs.aws.amazon.com/eks/latest/userguide/automode-learn-instances.html#auto-supported-instances
# https://aws.amazon.com/ec2/instance-types/r7i/ , https://aws.amazon.com/ec2/instance-types/r8g/
NODE_CPU, NODE_GIB = 192, 1536
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html : p5.48xlarge, g6.48xlarge.
NODE_GPUS = 8
# https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html : maximum pods per node.
NODE_PODS = 110
# Kubernetes and the operating system reserve up to a tenth of a node.
POD_CPU = 0.9 * NODE_CPU
POD_MB = int(0.9 * NODE_GIB * 1024)
# GiB of a node's disk: default, and largest.
# https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html#auto-node-class-spec
NODE_DISK_GB, MAX_NODE_DISK_GB = 80, 59_000
# The kubelet evicts pods when a tenth is left, and counts images, which no pod requests.
# https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds
POD_DISK = 0.9
IMAGES_GB = 10
# Log files and temporary files of an idle worker.
WORKER_DISK_MB = 512
# Requests of the sidecars of a worker, git-sync and the log groomer: values/airflow.yaml.
SIDECARS_CPU, SIDECARS_MB = 0.02, 96

# Measured on Airflow 3.2.2: a worker with 16 slots uses 667 MB (PSS) when idle, 1.42 GB with 16
# small tasks.
WORKER_MB = 640
TASK_MB = 64
# With the modules that it imports, such as pandas.
SMALL_TASK_MB = 128

# Measured on Airflow 3.2.2 (docs/benchmarks.md): CPU seconds of an API server process for a heartbeat.
# Half of a process is for heartbeats, the rest for starts and ends of tasks, XComs and the UI.
HEARTBEAT_CPU = 0.0054
HEARTBEAT_SHARE = 0.5
# [workers] min_heartbeat_interval: a short task occupies its slot for up to that long.
MIN_HEARTBEAT_SECONDS, MAX_HEARTBEAT_SECONDS = 1, 5
# [api] workers: values/airflow.yaml.
API_WORKERS = 1

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
CLOUDWATCH_RETENTION = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
    *(1827, 2192, 2557, 2922, 3288, 3653),
)

# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
RDS_IDENTIFIER = r"^(?!.*--)[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
RDS_IDENTIFIER_LENGTH = 63
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html ; the name of an
# automated snapshot begins with `rds:`. The time has the format of the AWS provider.
RDS_SNAPSHOT = r"(arn:[\w:-]+:snapshot:)?(rds:)?(?!.*--)[A-Za-z][A-Za-z0-9-]{0,253}[A-Za-z0-9]"
RESTORE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/AutomatedBackups.PiTR.html : its Region is
# that of the replicated backup.
REPLICATED_BACKUP = r"arn:[\w:-]+:auto-backup:[a-z0-9-]+"
RESTORE_SOURCE = rf"^({RDS_SNAPSHOT}|{REPLICATED_BACKUP}|{RESTORE_TIME})$"

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
SPOT_NOTICE_SECONDS = 120

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html : the largest VPC is /16.
VPC_PREFIX = 16
# 4,091 addresses for nodes and pods per zone; the first block is split into the public subnets.
PRIVATE_PREFIX = 20
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html#network-requirements-subnets :
# zones of us-east-1, us-west-1 and ca-central-1 that cannot contain subnets of a cluster.
EKS_REFUSES_ZONES = ("use1-az3", "usw1-az2", "cac1-az3")
# The same page: recommended free addresses of a cluster's subnet; an upgrade needs them, too.
EKS_ADDRESSES = 16
# https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/subnet_discovery/
LOAD_BALANCER_ADDRESSES = 8
# https://docs.aws.amazon.com/eks/latest/userguide/auto-networking.html : pods have addresses of a
# /28 block of their node.
PODS_PER_ADDRESS_BLOCK = 16


def memory_gib(instance_class: str) -> int:
    """Memory of an RDS instance class such as `db.m7g.2xlarge`, in GiB."""
    family, size = instance_class.removeprefix("db.").split(".")
    if size in _SMALL_GIB:
        return _SMALL_GIB[size]
    factor = re.sub(r"\D", "", size)
    multiple = 1 if size == "large" else 2 * int(factor or 1)
    return _LARGE_GIB[family[0]] * multiple


def rds_max_connections(instance_class: str) -> int:
    """The `max_connections` of an RDS instance class."""
    usable = memory_gib(instance_class) * 2**30 * USABLE_MEMORY
    return min(MAX_CONNECTIONS, int(usable / BYTES_PER_CONNECTION))


def cloudwatch_retention(days: int) -> int:
    """The shortest retention of a CloudWatch log group that is at least `days`."""
    return next(accepted for accepted in CLOUDWATCH_RETENTION if accepted >= days)


def worker_memory_mb(concurrency: int) -> int:
    """Minimum memory of a worker, without the data of its tasks, in MiB."""
    return WORKER_MB + TASK_MB * concurrency


# XComs of this size and larger are in the bucket with airflow.xcom_bucket. The smallest
# xcom_limit_mb, so that no XCom is too large for the database and too small for the bucket.
XCOM_BUCKET_BYTES = 2**20
