"""Rules for network access."""

import json
from collections.abc import Iterator
from typing import Any

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, at, describe, differs

ANYWHERE = {"0.0.0.0/0", "::/0"}
GROUP = "aws:ec2/securityGroup:SecurityGroup"
VPC = "aws:ec2/vpc:Vpc"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_CLASS_PARAMS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
ANNOTATIONS = "ingress.apiServer.annotations"
LOAD_BALANCER = "alb.ingress.kubernetes.io"
ALLOWED_SOURCES = "Allow a security group or specific CIDR blocks instead"


def _sources(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    for rule in stack.all(RULE):
        for key in ("cidrIpv4", "cidrIpv6"):
            yield rule, key, rule.inputs.get(key)
    for rule in stack.all(OLD_RULE):
        if rule.inputs.get("type") == "ingress":
            for key in ("cidrBlocks", "ipv6CidrBlocks"):
                yield rule, key, rule.inputs.get(key)
    for group in stack.all(GROUP, DEFAULT_GROUP):
        for index, rule in enumerate(as_list(group.inputs.get("ingress"))):
            for key in ("cidrBlocks", "ipv6CidrBlocks"):
                yield group, f"ingress[{index}].{key}", at(rule, key)


def _no_public_ingress(stack: Stack) -> Iterator[Finding]:
    for resource, key, value in _sources(stack):
        if ANYWHERE & {str(cidr) for cidr in as_list(value)}:
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=describe(key, value),
                fix=ALLOWED_SOURCES,
            )


def _no_inline_rules(stack: Stack) -> Iterator[Finding]:
    for group in stack.all(GROUP, DEFAULT_GROUP):
        if group.inputs.get("ingress"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=describe("ingress", group.inputs["ingress"]),
                fix="Add an aws.vpc.SecurityGroupIngressRule for each rule",
            )


def _rules_have_descriptions(stack: Stack) -> Iterator[Finding]:
    for resource in stack.all(GROUP, RULE, EGRESS_RULE, OLD_RULE):
        value = resource.inputs.get("description")
        # AWS and Pulumi's provider have a default for groups, which says nothing.
        if value is not UNKNOWN and (not value or value == "Managed by Pulumi"):
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=describe("description", value),
                fix="Say in `description` which clients it admits, and for what",
            )


def _vpc_flow_logs(stack: Stack) -> Iterator[Finding]:
    for vpc in stack.all(VPC):
        if not any(log.refers("vpcId", vpc) for log in stack.all(FLOW_LOG)):
            yield Finding(
                resource=vpc.name,
                urn=vpc.urn,
                what="the VPC has no flow log",
                fix="Set network.flow_log_days",
            )


def _annotations(stack: Stack) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for release, values in chart_values.of_airflow(stack):
        if at(values, "ingress.apiServer.enabled"):
            yield release, at(values, ANNOTATIONS) or {}


def _ui_requires_tls(stack: Stack) -> Iterator[Finding]:
    for release, annotations in _annotations(stack):
        ports = annotations.get(f"{LOAD_BALANCER}/listen-ports")
        if ports is None or any("HTTPS" not in listener for listener in json.loads(ports)):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=describe(f"{LOAD_BALANCER}/listen-ports", ports),
                fix="Configure only HTTPS listeners",
            )
        policy = annotations.get(f"{LOAD_BALANCER}/ssl-policy")
        if "TLS13" not in (policy or ""):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=describe(f"{LOAD_BALANCER}/ssl-policy", policy),
                fix="Use an ELBSecurityPolicy-TLS13 policy",
            )
    for parameters in stack.all(INGRESS_CLASS_PARAMS):
        value = parameters.get("spec.certificateARNs")
        if not value:
            yield Finding(
                resource=parameters.name,
                urn=parameters.urn,
                what=describe("spec.certificateARNs", value),
                fix="Set airflow.ingress.certificate_arn",
            )


def _attribute_is_true(stack: Stack, attribute: str, fix: str) -> Iterator[Finding]:
    """Each load balancer has the attribute, with the value `true`."""
    for parameters in stack.all(INGRESS_CLASS_PARAMS):
        given = parameters.get("spec.loadBalancerAttributes")
        values = {each.get("key"): each.get("value") for each in as_list(given)}
        value = UNKNOWN if given is UNKNOWN else values.get(attribute)
        if differs(value, "true"):
            yield Finding(
                resource=parameters.name,
                urn=parameters.urn,
                what=describe(f"spec.loadBalancerAttributes {attribute}", value),
                fix=fix,
            )


def _invalid_headers_are_dropped(stack: Stack) -> Iterator[Finding]:
    key = "routing.http.drop_invalid_header_fields.enabled"
    yield from _attribute_is_true(stack, key, 'Set it to "true"')


def _access_is_logged(stack: Stack) -> Iterator[Finding]:
    fix = "Set airflow.ingress.access_logs to true"
    yield from _attribute_is_true(stack, "access_logs.s3.enabled", fix)


def _ui_access_is_restricted(stack: Stack) -> Iterator[Finding]:
    for release, annotations in _annotations(stack):
        key = f"{LOAD_BALANCER}/inbound-cidrs"
        value = annotations.get(key)
        if value is None or ANYWHERE & set(value.split(",")):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=describe(key, value),
                fix="Restrict airflow.ingress.allowed_cidrs to the networks of the users",
            )


RULES = (
    Rule(
        name="no-public-ingress",
        former_name="firewall-is-closed",
        reason="Ports open to the internet receive brute-force logins and exploits",
        check=_no_public_ingress,
        excusable=True,
    ),
    Rule(
        name="no-inline-security-group-rules",
        former_name="firewall-rules-stand-alone",
        reason="Inline rules and SecurityGroupIngressRule resources overwrite each other",
        check=_no_inline_rules,
        seen_by="plan",
    ),
    Rule(
        name="security-group-rules-have-descriptions",
        reason="Without a description, an auditor cannot tell a needed rule from a forgotten one",
        check=_rules_have_descriptions,
    ),
    Rule(
        name="vpc-flow-logs-enabled",
        reason="Without flow logs, refused connections of an intruder leave no trace",
        check=_vpc_flow_logs,
        level="production",
        excusable=True,
    ),
    Rule(
        name="ui-requires-tls",
        former_name="ui-speaks-tls",
        reason="Without TLS, UI sessions and passwords cross the network in plain text",
        check=_ui_requires_tls,
    ),
    Rule(
        name="load-balancer-drops-invalid-headers",
        reason="A header with an invalid name can smuggle a second request past the load balancer",
        check=_invalid_headers_are_dropped,
    ),
    Rule(
        name="load-balancer-access-logs",
        reason="Without access logs, an attack on the UI cannot be traced to its source",
        check=_access_is_logged,
        level="production",
        excusable=True,
    ),
    Rule(
        name="ui-access-restricted",
        former_name="ui-is-limited",
        reason="A UI open to the internet receives brute-force logins and exploits",
        check=_ui_access_is_restricted,
        excusable=True,
    ),
)
