"""AWS at the provider protocol: moto behind it, a real Kubernetes as EKS, a real PostgreSQL as RDS."""
