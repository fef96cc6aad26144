"""Preloaded by the fork server before Airflow: Ctrl-C ends its processes without a traceback."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)
