"""The architecture picture of a stack on AWS: from the facts to an SVG."""

from collections.abc import Iterator, Sequence

from docs.picture import cluster, look
from docs.picture.facts import Facts
from docs.picture.svg import Box, Card, Point, arrow, card, cylinder, document, frame, label, rectangle


def draw(facts: Facts) -> str:
    """The picture as an SVG document."""
    shapes = (
        *_network(facts),
        *cluster.frames(facts),
        *_people(facts),
        *_stores(facts),
        *cluster.arrows(facts),
        *cluster.pods(facts),
    )
    title = f"Airflow on EKS: the stack {facts.stack}"
    return document(look.SIZE, title, describe(facts), look.FLOWS, shapes)


def describe(facts: Facts) -> str:
    """The picture in words, for those who do not see it."""
    git, database, workers = facts.git, facts.database, facts.workers
    count = cluster.worker_count(workers)
    balancer = facts.load_balancer
    sentences = [
        f"Pods in the namespace {facts.namespace} of an EKS cluster, in {len(facts.zones)} zones, "
        f"take DAGs from {git.host}/{git.path}, {git.ref}, every {git.seconds} s.",
        f"Schedulers put tasks into Redis; {count} take them from there.",
        f"Metadata is in RDS PostgreSQL {database.version}, task logs in an S3 bucket.",
    ]
    if balancer is not None:
        admitted = networks(balancer.cidrs)
        sentences.append(f"Users in {admitted} come over HTTPS, through a load balancer.")
    if facts.keda is not None:
        sentences.append("KEDA counts waiting and running tasks, and sets the number of workers.")
    return " ".join(sentences)


def networks(cidrs: Sequence[str]) -> str:
    """At most two of them by name."""
    more = f" and {len(cidrs) - 2} more" if len(cidrs) > 2 else ""
    return ", ".join(cidrs[:2]) + more


def _network(facts: Facts) -> Iterator[str]:
    x = look.NAMES_X
    yield frame(look.REGION, f"AWS {facts.region}", color=look.AWS, name_x=x)
    yield frame(look.NETWORK, f"VPC {facts.vpc}", color=look.VPC, name_x=x)
    open_to_internet = facts.load_balancer is not None and not facts.load_balancer.internal
    border = look.PRIVATE_Y_BELOW_LOAD_BALANCER if open_to_internet else look.PRIVATE_Y
    width = _zone_width(facts)
    for index, zone in enumerate(facts.zones):
        box = Box(
            look.ZONES.x + index * (width + look.ZONE_GAP), look.ZONES.y, width, look.ZONES.height
        )
        x = box.x + look.NAMES_X - look.ZONES.x
        room = box.right - x - 12
        name = f"availability zone {index + 1}"
        yield frame(box, name, color=look.ZONE, name_x=x, dashed=True)
        for top, bottom, fill in (
            (box.y + 28, border - 6, look.PUBLIC_FILL),
            (border, box.bottom - 6, look.PRIVATE_FILL),
        ):
            yield rectangle(Box(box.x + 6, top, width - 12, bottom - top), fill=fill, color=fill)
        y = box.y + 47
        yield label(f"public {zone.public}", (x, y), color=look.PUBLIC, width=room)
        if zone.nat:
            yield label("NAT gateway", (x, y + 19), color=look.PUBLIC, width=room, bold=True)
        yield label(f"private {zone.private}", (x, border + 19), color=look.PRIVATE, width=room)


def _zone_width(facts: Facts) -> float:
    return (look.ZONES.width + look.ZONE_GAP) / len(facts.zones) - look.ZONE_GAP


def _people(facts: Facts) -> Iterator[str]:
    git, balancer = facts.git, facts.load_balancer
    words = Card(f"Git: {git.host}", [git.path, f"{git.ref}, folder {git.folder or '/'}"])
    yield card(look.GIT, words, color=look.DAGS)
    yield card(look.AUTHOR, Card("DAG author", []), color=look.PERSON)
    y = look.GIT.middle.y
    yield arrow([Point(look.AUTHOR.x, y), Point(look.GIT.right, y)], look.DAGS)
    middle = ((look.AUTHOR.x + look.GIT.right) / 2, y - 8)
    yield label("git push", middle, color=look.DAGS, width=90, anchor="middle")

    # From outside of AWS it comes down between the zones, through nobody's subnet.
    gap = look.ZONES.right - _zone_width(facts) - look.ZONE_GAP / 2
    x, y = look.USERS.middle.x, look.REGION.y - 10
    way = [Point(x, look.USERS.bottom), Point(x, y), Point(gap, y)]
    if balancer is None:
        yield card(look.USERS, Card("Users", ["kubectl port-forward"]), color=look.PERSON)
        yield arrow([*way, Point(gap, look.API_SERVER.y)], look.HTTPS)
        return
    yield card(look.USERS, Card("Users", [f"in {networks(balancer.cidrs)}"]), color=look.PERSON)
    y = look.LOAD_BALANCER_Y if balancer.internal else look.LOAD_BALANCER_Y_PUBLIC
    left, right = look.API_SERVER.x, look.TRIGGERER.right
    box = Box(left, y, right - left, look.LOAD_BALANCER_HEIGHT)
    kind = "internal" if balancer.internal else "internet-facing"
    words = Card(
        f"Load balancer, {kind}",
        [f"{balancer.host}, admits {networks(balancer.cidrs)}"],
    )
    yield arrow([*way, Point(gap, box.y)], look.HTTPS)
    yield label("HTTPS", (x + 40, look.REGION.y - 8), color=look.HTTPS, width=70)
    yield card(box, words, color=look.HTTPS)
    x = look.API_SERVER.middle.x
    yield arrow([Point(x, box.bottom), Point(x, look.API_SERVER.y)], look.HTTPS)
    yield label("HTTP", (x + 10, look.NAMESPACE.y - 8), color=look.HTTPS, width=60)


def _stores(facts: Facts) -> Iterator[str]:
    database, logs = facts.database, facts.logs
    box = look.DATABASE
    words = Card(
        f"RDS PostgreSQL {database.version}, {database.instance_class}",
        [
            f"{database.storage} GiB, grows to {database.max_storage} GiB; "
            f"backups of {database.backup_days} days"
        ],
    )
    yield card(box, words, color=look.SQL, indent=42)
    yield cylinder(Box(box.x + 16, box.y + 14, 28, 38), color=look.SQL)
    if database.multi_az:
        yield card(
            Box(box.right - 258, box.y + 8, 250, box.height - 16),
            Card("Multi-AZ", ["a standby in a second zone"]),
            color=look.SQL,
            dashed=True,
        )
    sql = "SQL over TLS" if database.tls_only else "SQL"
    x, y = look.SCHEDULER.middle.x, look.DATABASE.y - 14
    yield arrow([Point(x, look.NAMESPACE.bottom), Point(x, box.y)], look.SQL)
    yield label(f"{sql}, from every pod of Airflow", (x + 10, look.KEDA.middle.y + 5), color=look.SQL, width=330)
    if facts.keda is not None:
        x = look.KEDA_X
        yield arrow([Point(x, box.y), Point(x, look.KEDA.bottom)], look.SQL)
        yield label("waiting and running tasks", (x + 10, y), color=look.SQL, width=210)

    box = look.BUCKET
    yield rectangle(box, fill=look.WHITE, color=look.LOGS)
    x, y = box.middle
    yield cylinder(Box(x - 17, y - 62, 34, 44), color=look.LOGS)
    for row, (line, bold) in enumerate(
        [("S3 bucket", True), ("task logs", False), (f"{logs.days} days", False)]
    ):
        yield label(
            line, (x, y + 8 + 20 * row), color=look.TEXT, width=100, bold=bold, anchor="middle"
        )
