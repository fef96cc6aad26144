"""Runs inside Airflow's environment: creates the pools of platform.yaml, given as arguments."""

import sys

from airflow.models.pool import Pool
from airflow.utils.session import create_session

SLOTS = 128  # as default_pool; the size on the platform is set there

with create_session() as session:
    existing = {pool.pool for pool in session.query(Pool)}
    for name in sys.argv[1:]:
        if name not in existing:
            Pool.create_or_update_pool(
                name, slots=SLOTS, description="in platform.yaml", include_deferred=False
            )
            print(f"created pool {name}")
