"""What is around the cluster: the network with its zones, Git, the users and their way in."""

from collections.abc import Iterator

from docs.picture import look
from docs.picture.facts import Facts, Git, LoadBalancer, Zone
from docs.picture.svg import Box, Card, Point, arrow, card, frame, label, rectangle


def network(facts: Facts) -> Iterator[str]:
    x = look.NAMES_X
    yield frame(look.REGION, f"AWS {facts.region}", color=look.AWS, name_x=x)
    yield frame(look.NETWORK, f"VPC {facts.vpc}", color=look.VPC, name_x=x)
    balancer = facts.load_balancer
    outside = balancer is not None and not balancer.internal
    border = look.PRIVATE_Y_BELOW_LOAD_BALANCER if outside else look.PRIVATE_Y
    width = _zone_width(facts)
    for index, zone in enumerate(facts.zones):
        x = look.ZONES.x + index * (width + look.ZONE_GAP)
        box = Box(x, look.ZONES.y, width, look.ZONES.height)
        yield from _zone(zone, f"availability zone {index + 1}", box, border)


def _zone(zone: Zone, name: str, box: Box, border: float) -> Iterator[str]:
    """A zone as a column of its public and its private subnet, which begins at `border`."""
    x = box.x + look.NAMES_X - look.ZONES.x
    width = box.right - x
    yield frame(box, name, color=look.ZONE, name_x=x, dashed=True)
    for top, bottom, fill in (
        (box.y + 28, border - 6, look.PUBLIC_FILL),
        (border, box.bottom - 6, look.PRIVATE_FILL),
    ):
        subnet = Box(box.x + 6, top, box.width - 12, bottom - top)
        yield rectangle(subnet, fill=fill, color=fill)
    y = box.y + 47
    yield label(f"public {zone.public}", (x, y), color=look.PUBLIC, width=width)
    if zone.nat:
        yield label("NAT gateway", (x, y + 19), color=look.PUBLIC, width=width, bold=True)
    yield label(f"private {zone.private}", (x, border + 19), color=look.PRIVATE, width=width)


def _zone_width(facts: Facts) -> float:
    return (look.ZONES.width + look.ZONE_GAP) / len(facts.zones) - look.ZONE_GAP


def repository(git: Git) -> Iterator[str]:
    words = Card(f"Git: {git.host}", [git.path, f"{git.ref}, folder {git.folder or '/'}"])
    yield card(look.GIT, words, color=look.DAGS)
    yield card(look.AUTHOR, Card("DAG author", []), color=look.PERSON)
    y = look.GIT.middle.y
    yield arrow([Point(look.AUTHOR.x, y), Point(look.GIT.right, y)], look.DAGS)
    middle = ((look.AUTHOR.x + look.GIT.right) / 2, y - 8)
    yield label("git push", middle, color=look.DAGS, width=74, anchor="middle")


def users(facts: Facts) -> Iterator[str]:
    balancer = facts.load_balancer
    place = look.networks(balancer.cidrs) if balancer else facts.url
    yield card(look.USERS, Card("Users", [place]), color=look.PERSON)
    # They come down between the zones: on their way they are in nobody's subnet.
    gap = look.ZONES.right - _zone_width(facts) - look.ZONE_GAP / 2
    x, y = look.USERS.middle.x, look.REGION.y - 10
    way = [Point(x, look.USERS.bottom), Point(x, y), Point(gap, y)]
    beside = (x + 10, y + 2)
    if balancer is None:
        yield arrow([*way, Point(gap, look.API_SERVER.y)], look.HTTPS)
        yield label("kubectl port-forward", beside, color=look.HTTPS, width=170)
        return
    box = _balancer_box(balancer)
    yield arrow([*way, Point(gap, box.y)], look.HTTPS)
    yield label("HTTPS", beside, color=look.HTTPS, width=60)
    kind = "internal" if balancer.internal else "internet-facing"
    admits = f"admits {look.networks(balancer.cidrs)} to {balancer.host}"
    yield card(box, Card(f"Load balancer, {kind}", [admits]), color=look.HTTPS)
    x = gap - 47  # between the names of subnets
    yield arrow([Point(x, box.bottom), Point(x, look.API_SERVER.y)], look.HTTPS)
    yield label("HTTP", (x + 10, look.NAMESPACE.y - 8), color=look.HTTPS, width=50)


def _balancer_box(balancer: LoadBalancer) -> Box:
    y = look.LOAD_BALANCER_Y if balancer.internal else look.LOAD_BALANCER_Y_PUBLIC
    left, right = look.API_SERVER.x, look.TRIGGERER.right
    return Box(left, y, right - left, look.LOAD_BALANCER_HEIGHT)
