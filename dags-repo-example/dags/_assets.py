"""The assets by which DAGs follow each other: one home, so that both sides mean the same one."""

from airflow.sdk import Asset

STOCK_LEVELS = Asset("stock_levels")
