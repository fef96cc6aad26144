from policies.view import UNKNOWN
from tests.unit.policies.resources import LAUNCH_TEMPLATE, airflow, resource, server

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
MACHINES = (
    LAUNCH_TEMPLATE,
    "aws:ec2/instance:Instance",
    "aws:ec2/launchConfiguration:LaunchConfiguration",
)
TAINT = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
TOLERATION = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
CHART_PARTS = (
    "scheduler",
    "apiServer",
    "dagProcessor",
    "triggerer",
    "statsd",
    "workers",
    "migrateDatabaseJob",
    "createUserJob",
    "databaseCleanup",
)
UNLIMITED = "spec.template.spec.requirements do not limit eks.amazonaws.com/instance-generation"
NO_TAINT = "the spot nodes have no NoSchedule or NoExecute taint"
TOLERATE = "tolerations tolerate the taint nodes of"


def requirement(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


def node_pool(*capacity, taints=(), more=()):
    kinds = requirement("karpenter.sh/capacity-type", "In", *(capacity or ["on-demand"]))
    template = {"spec": {"requirements": [kinds, *more], "taints": list(taints)}}
    return resource(NODE_POOL, "pool", spec={"template": template})


def families(*names):
    return node_pool(more=[requirement("eks.amazonaws.com/instance-family", "In", *names)])


def generation(operator, value):
    return node_pool(more=[requirement("eks.amazonaws.com/instance-generation", operator, value)])


def node_group(**inputs):
    return resource(NODE_GROUP, "group", **inputs)


def tolerates(**toleration):
    return server(tolerations=[toleration])


POOL = node_pool(taints=[TAINT])
SPOT_POOL = node_pool("spot", taints=[TAINT])

BREACHES = {
    "imdsv2-required": {
        "Set it to required": [
            (
                'metadataOptions.httpTokens is "optional"',
                resource(type, metadataOptions={"httpTokens": "optional"}),
            )
            for type in MACHINES
        ],
        "Use a launch template with metadataOptions.httpTokens: required": [
            ("launchTemplate is not set", node_group())
        ],
    },
    "node-generation-current": {
        'Require eks.amazonaws.com/instance-generation Gt "4", or list newer families in '
        "eks.amazonaws.com/instance-family (workers.instance_families)": [
            (UNLIMITED, node_pool()),
            (UNLIMITED, generation("Gt", "3")),
            (UNLIMITED, generation("Lt", "4")),
            (UNLIMITED, families("m4", "m8g")),
            (UNLIMITED, families("t2")),
        ]
    },
    "spot-only-for-workers": {
        "Add a NoSchedule taint, and a matching toleration to workers.celery": [
            (NO_TAINT, node_pool("spot", "on-demand")),
            (NO_TAINT, node_pool("spot", taints=[{**TAINT, "effect": "PreferNoSchedule"}])),
            (NO_TAINT, node_group(capacityType="SPOT")),
        ],
        "Remove the toleration: only workers.celery may have it": [
            (f"{TOLERATE} pool", tolerates(**TOLERATION), POOL),
            (f"{TOLERATE} pool", tolerates(operator="Exists"), POOL),
            (f"{TOLERATE} pool", tolerates(operator="Exists", key="nodes"), POOL),
            (f"{TOLERATE} pool", tolerates(operator="Equal", key="nodes", value="workers"), POOL),
            (
                f"{TOLERATE} group",
                tolerates(**TOLERATION),
                node_group(taints=[{**TAINT, "effect": "NO_EXECUTE"}]),
            ),
            (f"{TOLERATE} pool", airflow(tolerations=[TOLERATION]), POOL),
            *(
                (f"{part}.{TOLERATE} pool", airflow(**{part: {"tolerations": [TOLERATION]}}), POOL)
                for part in CHART_PARTS
            ),
        ],
    },
}

COMPLIANT = {
    "imdsv2-required": {
        "required": resource(LAUNCH_TEMPLATE, metadataOptions={"httpTokens": "required"}),
        "launch template": node_group(launchTemplate={"id": "lt-1"}),
    },
    "node-generation-current": {
        "above 4": generation("Gt", "4"),
        "above 6": generation("Gt", "6"),
        "listed families": families("m8g", "i7ie", "r5b"),
        "accelerated families of generation 4": families("g4dn", "p4d"),
        "unknown": resource(
            NODE_POOL, "pool", spec={"template": {"spec": {"requirements": UNKNOWN}}}
        ),
    },
    "spot-only-for-workers": {
        "Celery workers": (
            SPOT_POOL,
            airflow(workers={"celery": {"tolerations": [TOLERATION]}}),
        ),
        "other value": (SPOT_POOL, tolerates(key="nodes", value="others")),
        "other taint": (SPOT_POOL, tolerates(key="other", operator="Exists")),
        "nodes without taints": (node_pool(), tolerates(operator="Exists")),
    },
}
