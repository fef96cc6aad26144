"""Rules for who may reach what."""

import json
from collections.abc import Iterator
from typing import Any

from policies import chart_values
from policies.rule import Finding, Rule
from policies.view import Resource, Stack, at, is_, items

ANYWHERE = {"0.0.0.0/0", "::/0"}
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
ANNOTATIONS = "ingress.apiServer.annotations"
LOAD_BALANCER = "alb.ingress.kubernetes.io"
CLOSED = "Admit a security group or the networks that need it"


def _sources(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    for rule in stack.all(RULE):
        for key in ("cidrIpv4", "cidrIpv6"):
            yield rule, key, rule.inputs.get(key)
    for rule in stack.all(OLD_RULE):
        if rule.inputs.get("type") == "ingress":
            for key in ("cidrBlocks", "ipv6CidrBlocks"):
                yield rule, key, rule.inputs.get(key)
    for group in stack.all(GROUP, DEFAULT_GROUP):
        for index, rule in enumerate(items(group.inputs.get("ingress"))):
            for key in ("cidrBlocks", "ipv6CidrBlocks"):
                yield group, f"ingress[{index}].{key}", at(rule, key)


def _firewall_is_closed(stack: Stack) -> Iterator[Finding]:
    for resource, key, value in _sources(stack):
        if ANYWHERE & {str(cidr) for cidr in items(value)}:
            yield Finding(
                resource=resource.name, urn=resource.urn, what=is_(key, value), fix=CLOSED
            )


def _firewall_rules_stand_alone(stack: Stack) -> Iterator[Finding]:
    for group in stack.all(GROUP, DEFAULT_GROUP):
        if group.inputs.get("ingress"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=is_("ingress", group.inputs["ingress"]),
                fix="Declare a SecurityGroupIngressRule for each",
            )


def _annotations(stack: Stack) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for release, values in chart_values.of_airflow(stack):
        if at(values, "ingress.apiServer.enabled"):
            yield release, at(values, ANNOTATIONS) or {}


def _ui_speaks_tls(stack: Stack) -> Iterator[Finding]:
    for release, annotations in _annotations(stack):
        ports = annotations.get(f"{LOAD_BALANCER}/listen-ports")
        if ports is None or any("HTTPS" not in listener for listener in json.loads(ports)):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=is_(f"{LOAD_BALANCER}/listen-ports", ports),
                fix="Listen on HTTPS only",
            )
        policy = annotations.get(f"{LOAD_BALANCER}/ssl-policy")
        if "TLS13" not in (policy or ""):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=is_(f"{LOAD_BALANCER}/ssl-policy", policy),
                fix="Take an ELBSecurityPolicy-TLS13 policy",
            )
    for parameters in stack.all("kubernetes:eks.amazonaws.com/v1:IngressClassParams"):
        value = parameters.get("spec.certificateARNs")
        if not value:
            yield Finding(
                resource=parameters.name,
                urn=parameters.urn,
                what=is_("spec.certificateARNs", value),
                fix="Set airflow.ingress.certificate_arn",
            )


def _ui_is_limited(stack: Stack) -> Iterator[Finding]:
    for release, annotations in _annotations(stack):
        key = f"{LOAD_BALANCER}/inbound-cidrs"
        value = annotations.get(key)
        if value is None or ANYWHERE & set(value.split(",")):
            yield Finding(
                resource=release.name,
                urn=release.urn,
                what=is_(key, value),
                fix="List your networks in airflow.ingress.allowed_cidrs",
            )


RULES = (
    Rule(
        name="firewall-is-closed",
        reason="What the whole Internet can reach, the whole Internet tries to log in to",
        check=_firewall_is_closed,
        excusable=True,
    ),
    Rule(
        name="firewall-rules-stand-alone",
        reason="AWS lets rules inside a group and beside it overwrite each other",
        check=_firewall_rules_stand_alone,
        seen_by="plan",
    ),
    Rule(
        name="ui-speaks-tls",
        reason="Sessions and passwords of the UI would cross the network in the clear",
        check=_ui_speaks_tls,
    ),
    Rule(
        name="ui-is-limited",
        reason="Whoever reaches the UI may try passwords, and any flaw of it",
        check=_ui_is_limited,
        excusable=True,
    ),
)
