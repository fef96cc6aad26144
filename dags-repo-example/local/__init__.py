"""Airflow on the machine of a DAG author: with Docker Compose, or as plain processes."""
