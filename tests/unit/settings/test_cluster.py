import pytest

from settings.cluster import EksSettings, cluster_name
from tests.unit.settings.stacks import EKS, LOCAL, changed

NO_NETWORKS = (
    "cluster: public_access_cidrs is required unless private_endpoint is true; list your networks, "
    'or write ["0.0.0.0/0"] to open the endpoint to the Internet'
)


@pytest.mark.parametrize(
    ("endpoint", "lines"),
    [
        ({}, [NO_NETWORKS]),
        ({"public_access_cidrs": []}, [NO_NETWORKS]),
        ({"private_endpoint": False}, [NO_NETWORKS]),
        ({"public_access_cidrs": ["203.0.113.0/24"]}, []),
        ({"public_access_cidrs": ["0.0.0.0/0"]}, []),
        ({"private_endpoint": True}, []),
        (
            {"private_endpoint": True, "public_access_cidrs": ["203.0.113.0/24"]},
            ["cluster: public_access_cidrs needs private_endpoint: false"],
        ),
    ],
)
def test_a_public_endpoint_lists_its_networks(mistakes, endpoint, lines):
    assert mistakes({**EKS, "cluster": {"kind": "eks", **endpoint}}) == lines


@pytest.mark.parametrize(
    ("name", "stack", "expected"),
    [
        (None, "prod", "airflow-prod"),
        (None, "team_a.prod", "airflow-team_a-prod"),
        ("cluster-eks-1a2b3c4", "prod", "cluster-eks-1a2b3c4"),
    ],
)
def test_the_name_of_a_cluster_follows_from_its_stack(name, stack, expected):
    settings = EksSettings(kind="eks", private_endpoint=True, name=name)

    assert cluster_name(settings, stack) == expected


ACCESS = {"kind": "eks", "private_endpoint": True}


@pytest.mark.parametrize(
    ("arn", "accepted"),
    [
        ("arn:aws:iam::111122223333:role/platform-admins", True),
        ("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_1", True),
        ("arn:aws-us-gov:iam::111122223333:user/anna", True),
        ("arn:aws:sts::111122223333:assumed-role/platform-admins/anna", False),
        ("arn:aws:iam::111122223333:group/admins", False),
        ("arn:aws:iam::111122223333:root", False),
    ],
)
def test_administrators_are_iam_roles_and_users(mistakes, arn, accepted):
    found = mistakes({**EKS, "cluster": {**ACCESS, "admin_role_arns": [arn]}})

    assert (found == []) is accepted, found


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "has.period"},
        {"name": ""},
        {"name": "a" * 101},
        {"log_types": ["kubelet"]},
        {"private_access_cidrs": ["10.0.0.1/8"]},
    ],
)
def test_values_that_eks_refuses_are_refused(mistakes, settings):
    assert len(mistakes({**EKS, "cluster": {**ACCESS, **settings}})) == 1


@pytest.mark.parametrize("base", [EKS, LOCAL], ids=["eks", "existing"])
def test_the_namespace_is_airflow_unless_it_is_set(load, base):
    assert load(base).cluster.namespace == "airflow"
    assert load(changed(base, "cluster.namespace", "flow")).cluster.namespace == "flow"


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("kube-system", "kube-system belongs to Kubernetes; use another name, such as airflow"),
        ("default", "default belongs to Kubernetes; use another name, such as airflow"),
        ("keda", "keda is the namespace of KEDA; use another name"),
    ],
)
def test_a_namespace_with_another_use_is_refused(mistakes, name, mistake):
    given = changed(LOCAL, "workers.scaling", "queue")
    assert mistakes(changed(given, "cluster.namespace", name)) == [f"cluster.namespace: {mistake}"]


def test_without_keda_its_namespace_is_free(load):
    assert load(changed(LOCAL, "cluster.namespace", "keda")).cluster.namespace == "keda"


def test_a_given_namespace_has_no_second_one_beside_it(mistakes):
    given = changed(LOCAL, "cluster.create_namespace", False)
    assert mistakes(given) == []

    workers = {"scaling": "queue", "pod_operator": True}
    assert mistakes({**given, "workers": workers}) == [
        "cluster.create_namespace: false does not allow the namespace of KEDA; set keda.existing: true, "
        "or scaling of each queue to cpu or fixed",
        "cluster.create_namespace: false does not allow the namespace of task pods; remove "
        "workers.pod_operator",
    ]
    existing = {**given, "workers": {"scaling": "queue"}, "keda": {"existing": True}}
    assert mistakes(existing) == []
