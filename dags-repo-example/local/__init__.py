"""Airflow on a DAG author's machine: in containers (Docker Compose) or as local processes."""
