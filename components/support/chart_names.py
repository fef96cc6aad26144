"""Names of objects of the Airflow chart, whose release is named `airflow`."""

API_SERVER = "airflow-api-server"
# Container in the pods of API_SERVER.
API_SERVER_CONTAINER = "api-server"
# Ingress of the API server.
INGRESS = "airflow-ingress"
SCHEDULER = "airflow-scheduler"
DAG_PROCESSOR = "airflow-dag-processor"
TRIGGERER = "airflow-triggerer"
# Workers of the default queue, and prefix of every other queue's.
WORKER = "airflow-worker"
STATSD = "airflow-statsd"
# Secrets that this program creates under the names that the chart's templates expect.
KEDA_SECRET = "airflow-keda"  # noqa: S105 - a name
ADMIN_SECRET = "airflow-admin"  # noqa: S105 - a name
# Label `component` of the Jobs that this program runs before the release.
SSO_CHECK = "sso-check"
XCOM_CHECK = "xcom-check"
