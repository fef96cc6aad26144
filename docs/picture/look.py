"""Colors and places of the architecture picture. A place is a box of pixels in a picture 1200 wide."""

from collections.abc import Sequence

from docs.picture.svg import Box

SIZE = (1200, 882)

AWS, VPC, ZONE, PUBLIC, PRIVATE = "#232f3e", "#7a3ff2", "#147eba", "#4d6b00", "#00696b"
PUBLIC_FILL, PRIVATE_FILL, NAMESPACE_FILL, WHITE = "#f3f8e4", "#e6f5f5", "#f5f9ff", "#ffffff"
EKS, POD, PERSON, TEXT = "#b35300", "#0173d1", "#59636e", "#1f2328"

# What flows along an arrow has a color; so has the store that it comes from.
HTTPS, DAGS, TASKS, SQL, LOGS, SCALING = FLOWS = (
    "#0969da",
    "#1a7f37",
    "#bc4c00",
    "#8250df",
    "#6e5a3a",
    "#bf3989",
)

# Outside of AWS.
GIT = Box(16, 14, 300, 68)
AUTHOR = Box(388, 14, 140, 68)
USERS = Box(549, 14, 256, 68)

# Frames. Their names start right of the way that the DAGs take down from Git.
REGION = Box(16, 110, 1168, 758)
NETWORK = Box(30, 138, 974, 716)
ZONES = Box(45, 166, 944, 678)
ZONE_GAP = 16
NAMES_X = 112

# An internal load balancer stands in the private subnets, another one in the public ones.
PRIVATE_Y, LOAD_BALANCER_Y = 252, 278
PRIVATE_Y_BELOW_LOAD_BALANCER, LOAD_BALANCER_Y_PUBLIC = 308, 244
LOAD_BALANCER_HEIGHT = 52

CLUSTER = Box(58, 346, 918, 386)
NAMESPACE = Box(72, 374, 890, 258)
DATABASE = Box(58, 770, 918, 64)
STANDBY = Box(718, 778, 250, 48)
BUCKET = Box(1062, 386, 110, 240)

# Pods, in two rows with the way of the DAGs between them.
DAG_PROCESSOR = Box(118, 416, 214, 64)
API_SERVER = Box(402, 416, 300, 64)
TRIGGERER = Box(764, 416, 180, 64)
SCHEDULER = Box(118, 534, 194, 84)
REDIS = Box(390, 534, 184, 84)
WORKER = Box(654, 534, 290, 84)
KEDA = Box(654, 668, 290, 54)
DAGS_X, DAGS_Y = 92, 510
KEDA_X = 692


def networks(cidrs: Sequence[str]) -> str:
    """The first by its name, the others by their number."""
    return cidrs[0] + (f" and {len(cidrs) - 1} more" if len(cidrs) > 1 else "")
