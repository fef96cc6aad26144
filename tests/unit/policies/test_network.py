import pytest

from tests.unit.policies.resources import ANYWHERE, airflow, assert_complies, breaches, resource

INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
LEGACY_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS_CLASS_PARAMS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
TLS13 = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def ui(**annotations):
    """The Airflow release with a compliant ingress. None removes an annotation."""
    complete = {
        "listen-ports": '[{"HTTPS": 443}]',
        "ssl-policy": TLS13,
        "inbound-cidrs": "10.0.0.0/8,192.0.2.0/24",
        **annotations,
    }
    prefixed = {
        f"alb.ingress.kubernetes.io/{key}": value
        for key, value in complete.items()
        if value is not None
    }
    return airflow(ingress={"apiServer": {"enabled": True, "annotations": prefixed}})


@pytest.mark.parametrize(
    ("open_to_all", "found"),
    [
        (resource(INGRESS_RULE, cidrIpv4=ANYWHERE), 'cidrIpv4 is "0.0.0.0/0"'),
        (resource(INGRESS_RULE, cidrIpv6="::/0"), 'cidrIpv6 is "::/0"'),
        (
            resource(LEGACY_RULE, type="ingress", cidrBlocks=[ANYWHERE]),
            'cidrBlocks is ["0.0.0.0/0"]',
        ),
        (
            resource(LEGACY_RULE, type="ingress", ipv6CidrBlocks=["::/0"]),
            'ipv6CidrBlocks is ["::/0"]',
        ),
        (
            resource(
                SECURITY_GROUP, ingress=[{"cidrBlocks": ["10.0.0.0/8"]}, {"cidrBlocks": [ANYWHERE]}]
            ),
            'ingress[1].cidrBlocks is ["0.0.0.0/0"]',
        ),
        (
            resource(DEFAULT_GROUP, ingress=[{"ipv6CidrBlocks": ["::/0"]}]),
            'ingress[0].ipv6CidrBlocks is ["::/0"]',
        ),
    ],
)
def test_ingress_from_anywhere_is_a_breach(open_to_all, found):
    assert breaches("no-public-ingress", open_to_all) == [
        ("it", found, "Allow a security group or specific CIDR blocks instead")
    ]


@pytest.mark.parametrize(
    "limited",
    [
        resource(INGRESS_RULE, cidrIpv4="10.0.0.0/8"),
        resource(SECURITY_GROUP),
        resource(DEFAULT_GROUP),
    ],
)
def test_ingress_from_a_network_complies(limited):
    assert_complies("no-public-ingress", limited)


def test_egress_to_anywhere_complies():
    egress = resource(LEGACY_RULE, type="egress", cidrBlocks=[ANYWHERE])
    assert_complies("no-public-ingress", egress)


@pytest.mark.parametrize("type", [SECURITY_GROUP, DEFAULT_GROUP])
def test_inline_security_group_rules_are_a_breach(type):
    assert breaches("no-inline-security-group-rules", resource(type, ingress=[{"self": True}])) == [
        (
            "it",
            'ingress is [{"self": true}]',
            "Add an aws.vpc.SecurityGroupIngressRule for each rule",
        )
    ]


@pytest.mark.parametrize("group", [resource(SECURITY_GROUP), resource(DEFAULT_GROUP, ingress=[])])
def test_security_groups_without_inline_rules_comply(group):
    assert_complies("no-inline-security-group-rules", group)


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ('[{"HTTPS": 443}, {"HTTP": 80}]', r'is "[{\"HTTPS\": 443}, {\"HTTP\": 80}]"'),
        (None, "is not set"),
    ],
)
def test_a_listener_without_tls_is_a_breach(ports, found):
    assert breaches("ui-requires-tls", ui(**{"listen-ports": ports})) == [
        (
            "airflow-release",
            f"alb.ingress.kubernetes.io/listen-ports {found}",
            "Configure only HTTPS listeners",
        )
    ]


@pytest.mark.parametrize(
    ("policy", "found"),
    [("ELBSecurityPolicy-2016-08", 'is "ELBSecurityPolicy-2016-08"'), (None, "is not set")],
)
def test_an_outdated_tls_policy_is_a_breach(policy, found):
    assert breaches("ui-requires-tls", ui(**{"ssl-policy": policy})) == [
        (
            "airflow-release",
            f"alb.ingress.kubernetes.io/ssl-policy {found}",
            "Use an ELBSecurityPolicy-TLS13 policy",
        )
    ]


def test_a_load_balancer_without_certificate_is_a_breach():
    parameters = resource(INGRESS_CLASS_PARAMS, spec={"certificateARNs": []})
    assert breaches("ui-requires-tls", parameters) == [
        ("it", "spec.certificateARNs is []", "Set airflow.ingress.certificate_arn")
    ]


def test_a_ui_with_tls_complies():
    parameters = resource(INGRESS_CLASS_PARAMS, spec={"certificateARNs": ["arn"]})
    assert_complies("ui-requires-tls", ui(), parameters)


def test_a_ui_without_ingress_needs_no_tls():
    assert_complies("ui-requires-tls", airflow(ingress={"apiServer": {"enabled": False}}))


@pytest.mark.parametrize(
    ("cidrs", "found"),
    [("10.0.0.0/8,0.0.0.0/0", 'is "10.0.0.0/8,0.0.0.0/0"'), (None, "is not set")],
)
def test_a_ui_open_to_the_internet_is_a_breach(cidrs, found):
    assert breaches("ui-access-restricted", ui(**{"inbound-cidrs": cidrs})) == [
        (
            "airflow-release",
            f"alb.ingress.kubernetes.io/inbound-cidrs {found}",
            "Restrict airflow.ingress.allowed_cidrs to the networks of the users",
        )
    ]


def test_a_ui_open_to_listed_networks_complies():
    assert_complies("ui-access-restricted", ui())
