"""A correct compose.yaml, its .env and the matching platform."""

from pathlib import Path

from checks.platform_file import Platform

COMPOSE = Path(__file__).with_name("compose.yaml").read_text()
PASSWORD = "correct-horse"
ENV = f"POSTGRES_PASSWORD={PASSWORD}\n"
PLATFORM = Platform(
    airflow="3.3.2",
    image="apache/airflow:3.3.2",
    sub_path="dags",
    queues=["default"],
    pools=["default_pool"],
    max_mb=100,
    max_file_mb=50,
    max_files=20000,
)
