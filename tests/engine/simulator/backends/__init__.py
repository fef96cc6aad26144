"""Real backends of the simulated AWS: a Kubernetes cluster for EKS, PostgreSQL for RDS."""
