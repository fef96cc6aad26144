"""How to reach Airflow after `make up`: UI, DNS record, password, DAGs and webhook."""

from components.airflow import dag_relay
from components.support.chart_names import ADMIN_SECRET, API_SERVER, INGRESS
from ops.kubernetes import Kubernetes
from settings import Settings


def next_steps(cluster: Kubernetes, settings: Settings, load_balancer: str | None = None) -> str:
    """`load_balancer` is the host name of the load balancer of the UI, once AWS has created it."""
    kubectl = " ".join(cluster.command("--namespace", cluster.namespace))
    ingress = settings.airflow.ingress
    lines = ["", "Airflow is healthy."]
    if ingress is None:
        lines += [f"  UI         {kubectl} port-forward svc/{API_SERVER} 8080"]
        lines += ["             then http://localhost:8080"]
    else:
        lines += [
            f"  UI         {settings.airflow.url}",
            *_dns(kubectl, ingress.host, load_balancer),
        ]
    sso = settings.airflow.sso
    if sso is not None:
        lines += [
            f"  sign-in    at {sso.issuer}, whose client {sso.client_id} must allow the redirect URI",
            f"             {settings.airflow.sso_redirect}",
        ]
    if not settings.airflow.creates_admin:
        lines += [f"  users      of {settings.airflow.auth_manager}"]
    elif settings.airflow.admin_user:
        lines += [
            "  user       admin" if sso is None else "  user       admin, for the API only",
            f"  password   {_read_secret(kubectl, ADMIN_SECRET, 'password')}",
        ]
    if settings.git_server is None:
        lines += [f"  DAGs       push to {settings.dags.repo}, {settings.dags.ref}"]
        others = settings.dags.repositories.values()
        lines += [f"             or to {other.repo}, {other.ref}" for other in others]
    else:
        lines += [f"  DAGs       {kubectl} port-forward svc/git-server 9418"]
        lines += ["             then git clone git://localhost/dags.git, and push"]
    if not settings.dags.webhook:
        return "\n".join(lines)
    webhook, path = dag_relay.WEBHOOK_NAME, dag_relay.WEBHOOK_PATH
    if ingress is None:
        ports = f"8081:{dag_relay.WEBHOOK_PORT}"
        lines += [f"  webhook    {kubectl} port-forward svc/{webhook} {ports}"]
        lines += [f"             then http://localhost:8081{path}"]
    else:
        lines += [f"  webhook    https://{ingress.host}{path}"]
    lines += [f"  its secret {_read_secret(kubectl, webhook, 'secret')}"]
    return "\n".join(lines)


def _dns(kubectl: str, host: str, load_balancer: str | None) -> list[str]:
    """The record to make: this program manages no DNS zone."""
    if load_balancer is None:
        return [
            "  DNS        AWS is still creating the load balancer; why, and its name later:",
            f"             {kubectl} describe ingress {INGRESS}",
        ]
    return [
        f"  DNS        {host}  CNAME  {load_balancer}",
        "             or, in Route 53, an alias record to it",
    ]


def _read_secret(kubectl: str, name: str, key: str) -> str:
    return f"{kubectl} get secret {name} --output go-template='{{{{.data.{key} | base64decode}}}}'"
