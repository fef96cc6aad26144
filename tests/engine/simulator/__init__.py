"""A simulated AWS account: a Pulumi provider over moto.

EKS is a real Kubernetes cluster, RDS a real PostgreSQL.
"""
