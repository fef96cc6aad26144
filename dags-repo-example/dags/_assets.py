"""Assets that DAGs produce and consume, defined once for both sides."""

from airflow.sdk import Asset

STOCK_LEVELS = Asset("stock_levels")
