"""What is real behind the simulated AWS: Kubernetes for EKS, PostgreSQL for RDS."""
