"""The architecture picture of a stack on AWS: from the facts to an SVG."""

from collections.abc import Iterator

from docs.picture import cluster, look, surroundings
from docs.picture.facts import Database, Facts, Logs
from docs.picture.svg import Box, Card, Point, arrow, card, cylinder, document, label, rectangle


def draw(facts: Facts) -> str:
    """The picture as an SVG document."""
    shapes = (
        *surroundings.network(facts),
        *cluster.frames(facts),
        *surroundings.repository(facts.git),
        *surroundings.users(facts),
        *_database(facts.database),
        *_bucket(facts.logs),
        *_queries(facts),
        *cluster.arrows(facts),
        *cluster.pods(facts),
    )
    title = f"Airflow on EKS: the stack {facts.stack}"
    return document(look.SIZE, title, describe(facts), look.FLOWS, shapes)


def describe(facts: Facts) -> str:
    """The picture in words, for those who do not see it."""
    git, database, balancer = facts.git, facts.database, facts.load_balancer
    sentences = [
        f"An EKS cluster in {len(facts.zones)} availability zones of AWS {facts.region}.",
        f"The pods of Airflow take DAGs from {git.host}/{git.path}, {git.ref}, "
        f"by a relay that asks for news every {git.seconds:g} s.",
        f"Schedulers put tasks into Redis, {cluster.worker_count(facts.workers)} take them out.",
        f"Metadata is in PostgreSQL {database.version} on RDS, task logs in an S3 bucket.",
    ]
    if facts.workers.others:
        sentences.append(f"Workers of their own have {', '.join(facts.workers.others)}.")
    if facts.keda is not None:
        sentences.append("KEDA sets the number of workers by the tasks that wait and run.")
    if balancer is not None:
        admitted = look.networks(balancer.cidrs)
        sentences.append(f"Users in {admitted} reach the UI over HTTPS, by a load balancer.")
    return " ".join(sentences)


def _database(database: Database) -> Iterator[str]:
    box = look.DATABASE
    storage = f"{database.storage} GiB, grows to {database.max_storage} GiB"
    words = Card(
        f"RDS PostgreSQL {database.version}, {database.instance_class}",
        [f"{storage}; backups of {database.backup_days} days"],
    )
    yield card(box, words, color=look.SQL, indent=42)
    yield cylinder(Box(box.x + 16, box.y + 13, 28, 38), color=look.SQL)
    if database.multi_az:
        words = Card("Multi-AZ", ["a standby in a second zone"])
        yield card(look.STANDBY, words, color=look.SQL, dashed=True)


def _bucket(logs: Logs) -> Iterator[str]:
    yield rectangle(look.BUCKET, fill=look.WHITE, color=look.LOGS)
    x, y = look.BUCKET.middle
    yield cylinder(Box(x - 17, y - 72, 34, 44), color=look.LOGS)
    for row, words in enumerate(["S3 bucket", "task logs,", "kept for", f"{logs.days} days"]):
        at = (x, y - 4 + 20 * row)
        yield label(words, at, color=look.TEXT, width=100, bold=row == 0, anchor="middle")


def _queries(facts: Facts) -> Iterator[str]:
    x, y = look.SCHEDULER.middle.x, look.KEDA.middle.y + 5
    yield arrow([Point(x, look.NAMESPACE.bottom), Point(x, look.DATABASE.y)], look.SQL)
    sql = "SQL over TLS" if facts.database.tls_only else "SQL"
    words = f"{sql}, from every pod of Airflow"
    yield label(words, (x + 10, y), color=look.SQL, width=330)
    if facts.keda is not None:
        x, y = look.KEDA_X, look.DATABASE.y - 14
        yield arrow([Point(x, look.DATABASE.y), Point(x, look.KEDA.bottom)], look.SQL)
        yield label("waiting and running tasks", (x + 10, y), color=look.SQL, width=210)
