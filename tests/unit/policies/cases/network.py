from policies.view import UNKNOWN
from tests.unit.policies.resources import ANYWHERE, airflow, resource

INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
VPC = "aws:ec2/vpc:Vpc"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
LEGACY_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS_CLASS_PARAMS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
DROP = "routing.http.drop_invalid_header_fields.enabled"
LOGGED = "access_logs.s3.enabled"
ALB = "alb.ingress.kubernetes.io"
HTTP = '[{"HTTPS": 443}, {"HTTP": 80}]'
TLS12 = "ELBSecurityPolicy-2016-08"
INTERNET = "10.0.0.0/8,0.0.0.0/0"
LISTS = [{"cidrBlocks": ["10.0.0.0/8"]}, {"cidrBlocks": [ANYWHERE]}]
SELF = [{"self": True}]


def ui(**annotations):
    """The Airflow release with a compliant ingress. None removes an annotation."""
    complete = {
        "listen-ports": '[{"HTTPS": 443}]',
        "ssl-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "inbound-cidrs": "10.0.0.0/8,192.0.2.0/24",
        **{key.replace("_", "-"): value for key, value in annotations.items()},
    }
    given = {f"{ALB}/{key}": value for key, value in complete.items() if value is not None}
    return airflow(ingress={"apiServer": {"enabled": True, "annotations": given}})


def attributes(given):
    """IngressClassParams with load balancer attributes."""
    if isinstance(given, dict):
        given = [{"key": key, "value": value} for key, value in given.items()]
    return resource(INGRESS_CLASS_PARAMS, spec={"loadBalancerAttributes": given})


def legacy_rule(type, **ranges):
    return resource(LEGACY_RULE, type=type, **ranges)


DESCRIBED = (SECURITY_GROUP, INGRESS_RULE, EGRESS_RULE, LEGACY_RULE)
DESCRIPTION = {"description": "PostgreSQL from the nodes of the cluster"}

BREACHES = {
    "security-group-rules-have-descriptions": {
        "Say in `description` which clients it admits, and for what": [
            *(("description is not set", resource(type)) for type in DESCRIBED),
            ('description is ""', resource(INGRESS_RULE, description="")),
            (
                'description is "Managed by Pulumi"',
                resource(SECURITY_GROUP, description="Managed by Pulumi"),
            ),
        ],
    },
    "vpc-flow-logs-enabled": {
        "Set network.flow_log_days": [
            ("the VPC has no flow log", resource(VPC)),
            (
                "the VPC has no flow log",
                resource(VPC, "other"),
                resource(VPC),
                resource(FLOW_LOG, "log", vpcId="it-id"),
            ),
        ],
    },
    "no-public-ingress": {
        "Allow a security group or specific CIDR blocks instead": [
            ('cidrIpv4 is "0.0.0.0/0"', resource(INGRESS_RULE, cidrIpv4=ANYWHERE)),
            ('cidrIpv6 is "::/0"', resource(INGRESS_RULE, cidrIpv6="::/0")),
            ('cidrBlocks is ["0.0.0.0/0"]', legacy_rule("ingress", cidrBlocks=[ANYWHERE])),
            ('ipv6CidrBlocks is ["::/0"]', legacy_rule("ingress", ipv6CidrBlocks=["::/0"])),
            ('ingress[1].cidrBlocks is ["0.0.0.0/0"]', resource(SECURITY_GROUP, ingress=LISTS)),
            (
                'ingress[0].ipv6CidrBlocks is ["::/0"]',
                resource(DEFAULT_GROUP, ingress=[{"ipv6CidrBlocks": ["::/0"]}]),
            ),
        ],
    },
    "no-inline-security-group-rules": {
        "Add an aws.vpc.SecurityGroupIngressRule for each rule": [
            ('ingress is [{"self": true}]', resource(SECURITY_GROUP, ingress=SELF)),
            ('ingress is [{"self": true}]', resource(DEFAULT_GROUP, ingress=SELF)),
        ],
    },
    "ui-requires-tls": {
        "Configure only HTTPS listeners": [
            (
                rf'{ALB}/listen-ports is "[{{\"HTTPS\": 443}}, {{\"HTTP\": 80}}]"',
                ui(listen_ports=HTTP),
            ),
            (f"{ALB}/listen-ports is not set", ui(listen_ports=None)),
        ],
        "Use an ELBSecurityPolicy-TLS13 policy": [
            (f'{ALB}/ssl-policy is "{TLS12}"', ui(ssl_policy=TLS12)),
            (f"{ALB}/ssl-policy is not set", ui(ssl_policy=None)),
        ],
        "Set airflow.ingress.certificate_arn": [
            (
                "spec.certificateARNs is []",
                resource(INGRESS_CLASS_PARAMS, spec={"certificateARNs": []}),
            )
        ],
    },
    "load-balancer-drops-invalid-headers": {
        'Set it to "true"': [
            (f"spec.loadBalancerAttributes {DROP} is not set", attributes(None)),
            (f'spec.loadBalancerAttributes {DROP} is "false"', attributes({DROP: "false"})),
        ],
    },
    "load-balancer-access-logs": {
        "Set airflow.ingress.access_logs to true": [
            (f"spec.loadBalancerAttributes {LOGGED} is not set", attributes({DROP: "true"})),
            (f'spec.loadBalancerAttributes {LOGGED} is "false"', attributes({LOGGED: "false"})),
        ],
    },
    "ui-access-restricted": {
        "Restrict airflow.ingress.allowed_cidrs to the networks of the users": [
            (f'{ALB}/inbound-cidrs is "{INTERNET}"', ui(inbound_cidrs=INTERNET)),
            (f"{ALB}/inbound-cidrs is not set", ui(inbound_cidrs=None)),
        ],
    },
}

COMPLIANT = {
    "security-group-rules-have-descriptions": {
        **{type: resource(type, **DESCRIPTION) for type in DESCRIBED},
        "unknown": resource(INGRESS_RULE, description=UNKNOWN),
        "the group of AWS": resource(DEFAULT_GROUP),
    },
    "vpc-flow-logs-enabled": {
        "flow log": (resource(VPC), resource(FLOW_LOG, "log", vpcId="it-id")),
        "unknown VPC": (
            resource(VPC),
            resource(FLOW_LOG, "log", vpcId=UNKNOWN, depends_on=[resource(VPC).urn]),
        ),
        "an existing VPC": resource(SECURITY_GROUP),
    },
    "no-public-ingress": {
        "private network": resource(INGRESS_RULE, cidrIpv4="10.0.0.0/8"),
        "no rule": resource(SECURITY_GROUP),
        "no rule in the default group": resource(DEFAULT_GROUP),
        "egress": legacy_rule("egress", cidrBlocks=[ANYWHERE]),
    },
    "no-inline-security-group-rules": {
        "not set": resource(SECURITY_GROUP),
        "empty": resource(DEFAULT_GROUP, ingress=[]),
    },
    "ui-requires-tls": {
        "HTTPS": (ui(), resource(INGRESS_CLASS_PARAMS, spec={"certificateARNs": ["arn"]})),
        "no ingress": airflow(ingress={"apiServer": {"enabled": False}}),
    },
    "load-balancer-drops-invalid-headers": {
        "dropped": attributes({LOGGED: "true", DROP: "true"}),
        "unknown": attributes(UNKNOWN),
        "value unknown": attributes({DROP: UNKNOWN}),
    },
    "load-balancer-access-logs": {
        "logged": attributes({DROP: "true", LOGGED: "true"}),
        "unknown": attributes(UNKNOWN),
        "value unknown": attributes({LOGGED: UNKNOWN}),
    },
    "ui-access-restricted": {"listed networks": ui()},
}
