"""Outputs and lookups of the providers, for the mock engine. A lookup without an entry fails.

An output without an entry is None, and an input derived from it is missing: a component that uses
a new output needs an entry here, and a test that the input is set.
"""

import json
from collections.abc import Callable
from typing import Any

ACCOUNT = "111122223333"  # AWS's account number for documentation
REGION = "eu-west-1"

Outputs = dict[str, Any]


def _arn(service: str, what: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{what}"


def _kubeconfig(name: str) -> str:
    server = f"https://{name}.eks.example"
    return json.dumps({"clusters": [{"name": "eks", "cluster": {"server": server}}]})


# Computed outputs by resource type, from the name of the resource and its inputs.
COMPUTED: dict[str, Callable[[str, Outputs], Outputs]] = {
    "aws:ec2/vpc:Vpc": lambda name, inputs: {"region": REGION},
    "aws:cloudwatch/logGroup:LogGroup": lambda name, inputs: {
        "arn": _arn("logs", f"log-group:{inputs.get('name', name)}")
    },
    "aws:kms/key:Key": lambda name, inputs: {
        "arn": _arn("kms", f"key/{name}", inputs.get("region", REGION))
    },
    "aws:rds/instance:Instance": lambda name, inputs: {
        "address": f"{name}.rds.example",
        "arn": _arn("rds", f"db:{inputs['identifier']}"),
    },
    "aws:rds/subnetGroup:SubnetGroup": lambda name, inputs: {"name": name},
    "aws:rds/parameterGroup:ParameterGroup": lambda name, inputs: {"name": name},
    "aws:s3/bucket:Bucket": lambda name, inputs: {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "region": REGION,
    },
    "aws:iam/role:Role": lambda name, inputs: {
        "name": name,
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
    },
    "random:index/randomPassword:RandomPassword": lambda name, inputs: {
        "result": f"{name}-{inputs['keepers']['generation']}"
    },
    "random:index/randomId:RandomId": lambda name, inputs: {"hex": "0a1b2c3d"},
    "eks:index:Cluster": lambda name, inputs: {"kubeconfigJson": _kubeconfig(name)},
}

# Child resources that a remote component creates and returns as outputs.
CHILDREN: dict[str, dict[str, tuple[str, Callable[[str], Outputs]]]] = {
    "eks:index:Cluster": {
        "eksCluster": (
            "aws:eks/cluster:Cluster",
            lambda name: {
                "name": name,
                "arn": _arn("eks", f"cluster/{name}"),
                "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}-role",
                "vpcConfig": {"clusterSecurityGroupId": f"{name}-cluster-security-group"},
            },
        )
    }
}

LOOKUPS: dict[str, Outputs] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": {
        "id": REGION,
        "names": [f"{REGION}{letter}" for letter in "abc"],
        "zoneIds": [f"euw1-az{number}" for number in (1, 2, 3)],
    },
    "aws:ec2/getVpc:getVpc": {
        "cidrBlockAssociations": [{"cidrBlock": "10.0.0.0/16", "state": "associated"}],
    },
    "aws:index/getPartition:getPartition": {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
    },
    "aws:index/getCallerIdentity:getCallerIdentity": {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session",
    },
    "aws:iam/getSessionContext:getSessionContext": {
        "issuerArn": f"arn:aws:iam::{ACCOUNT}:role/deployer"
    },
    "aws:lb/getLbs:getLbs": {"arns": [_arn("elasticloadbalancing", "loadbalancer/app/k8s/1")]},
    "aws:lb/getLoadBalancer:getLoadBalancer": {
        "dnsName": f"internal-k8s-airflow-airflowi-1.{REGION}.elb.amazonaws.com"
    },
}
