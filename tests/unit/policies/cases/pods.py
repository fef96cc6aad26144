from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    REQUESTS_AND_LIMITS,
    airflow,
    container,
    resource,
    server,
)

NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ENFORCE = "pod-security.kubernetes.io/enforce"
REQUIRED = ("requests.cpu", "requests.memory", "limits.memory")
CHART_CONTAINERS = (
    "scheduler",
    "scheduler.logGroomerSidecar",
    "apiServer",
    "dagProcessor",
    "dagProcessor.logGroomerSidecar",
    "triggerer",
    "triggerer.logGroomerSidecar",
    "dags.gitSync",
    "statsd",
    "migrateDatabaseJob",
    "createUserJob",
    "databaseCleanup",
    "workers.celery",
    "workers.celery.logGroomerSidecar",
)
SETS = [{"name": "one", "resources": REQUESTS_AND_LIMITS}, {"name": "two"}]


def chart(without="", **changed):
    """The Airflow release with resources for every container, except for `without`."""
    values = {
        "dagProcessor": {"enabled": True},
        "databaseCleanup": {"enabled": True},
        "dags": {"gitSync": {"enabled": True}},
    }
    for path in CHART_CONTAINERS:
        inner = values
        for key in path.split("."):
            inner = inner.setdefault(key, {})
        if path != without:
            inner["resources"] = REQUESTS_AND_LIMITS
    return airflow(**{**values, **changed})


def missing(path):
    return [f"{path}.resources.{key} is not set" for key in REQUIRED]


def pod(**resources):
    return server(container(resources={**REQUESTS_AND_LIMITS, **resources}))


def namespace(labels):
    return resource(NAMESPACE, metadata={"labels": labels})


def default_deny(namespace="airflow", depends_on=(), **changed):
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], **changed}
    metadata = {"namespace": namespace}
    return resource(NETWORK_POLICY, "deny", metadata=metadata, spec=spec, depends_on=depends_on)


def declared(name="keda"):
    return resource(NAMESPACE, name, metadata={"name": name})


BREACHES = {
    "containers-request-resources": {
        "Measure the usage and set it": [
            ("main: resources.limits.memory is not set", pod(limits={})),
            ("main: resources.requests.memory is not set", pod(requests={"cpu": "1"})),
            ("main: resources.requests.cpu is not set", pod(requests={"memory": "1Gi"})),
        ],
        "Set it in values/": [
            *((missing(path), chart(without=path)) for path in CHART_CONTAINERS),
            (
                missing("workers.celery.sets.two"),
                chart(
                    workers={
                        "celery": {
                            "enableDefault": False,
                            "sets": SETS,
                            "logGroomerSidecar": {"resources": REQUESTS_AND_LIMITS},
                        }
                    }
                ),
            ),
        ],
    },
    "pod-security-context-restricted": {
        "Set it to true": [
            (
                "securityContext.runAsNonRoot is false",
                server(securityContext={"runAsNonRoot": False}),
            ),
            ("securityContext.runAsNonRoot is not set", server(securityContext=None)),
        ],
        "Set it to false": [
            (
                "first: securityContext.allowPrivilegeEscalation is not set",
                server(container(), initContainers=[container(name="first", securityContext={})]),
            )
        ],
    },
    "namespace-pod-security-restricted": {
        "Set the label to restricted": [
            (f'{ENFORCE} is "baseline"', namespace({ENFORCE: "baseline"})),
            (f"{ENFORCE} is not set", namespace(None)),
        ],
    },
    "default-deny-network-policy": {
        "Add a NetworkPolicy with podSelector {} and no ingress rules; then allow the clients": [
            ("namespace airflow has no NetworkPolicy that denies all ingress", server(), policy)
            for policy in (
                default_deny("other"),
                default_deny(podSelector={"matchLabels": {"a": "b"}}),
                default_deny(policyTypes=["Egress"]),
                default_deny(ingress=[{}]),
            )
        ]
        + [
            ("namespace keda has no NetworkPolicy that denies all ingress", declared(), policy)
            for policy in (default_deny(), default_deny(UNKNOWN, depends_on=["another"]))
        ]
        + [
            (
                "namespace airflow has no NetworkPolicy that denies all ingress",
                declared("airflow"),
                server(),
            )
        ],
    },
}

COMPLIANT = {
    "containers-request-resources": {
        "requests and limits": (server(), chart()),
        "disabled chart part": chart("databaseCleanup", databaseCleanup={"enabled": False}),
    },
    "pod-security-context-restricted": {"unprivileged": server()},
    "namespace-pod-security-restricted": {
        "restricted": namespace({ENFORCE: "restricted"}),
        "unknown": namespace(UNKNOWN),
    },
    "default-deny-network-policy": {
        "default deny": (server(), default_deny()),
        "namespace of a chart": (declared(), default_deny("keda")),
        "namespace known after the update": (
            declared(),
            default_deny(UNKNOWN, depends_on=[declared().urn]),
        ),
        "unknown namespace": server(namespace=UNKNOWN),
    },
}
