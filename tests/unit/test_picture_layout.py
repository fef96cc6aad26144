import re
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from docs.picture import drawing, from_plan

SVG = "{http://www.w3.org/2000/svg}"
CIDRS = ("255.255.255.255/32", "0.0.0.0/0")

facts = cache(from_plan.facts)


def on_the_internet(stack):
    return replace(stack, load_balancer=replace(facts("prod").load_balancer, internal=False))


def with_long_names(stack):
    return replace(
        stack,
        git=replace(stack.git, host="git." * 20 + "example", path="a/" * 60, ref="tag " + "v" * 60),
        load_balancer=replace(facts("prod").load_balancer, host="flow." * 30, cidrs=CIDRS),
        endpoint_cidrs=CIDRS,
        workers=replace(stack.workers, min=400, max=500, cpu=95.999, memory=383.999, tasks=64),
        database=replace(stack.database, storage=65535, max_storage=65536, backup_days=35),
        redis=replace(stack.redis, volume="100Gi"),
        logs=replace(stack.logs, days=3650),
    )


def with_names_that_xml_reserves(stack):
    return replace(stack, git=replace(stack.git, ref="branch <a&b>"))


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
@pytest.mark.parametrize(
    "change", [lambda stack: stack, on_the_internet, with_long_names, with_names_that_xml_reserves]
)
def test_no_words_stand_on_others_under_an_arrow_or_outside(stack, change):
    picture = ElementTree.fromstring(drawing.draw(change(facts(stack))))  # noqa: S314 - it is ours
    texts = [(text.text, place(text)) for text in picture.iter(SVG + "text")]

    assert len(texts) > 40
    for (_, one), (_, other) in combinations(texts, 2):
        assert not overlap(one, other), (one, other)
    for way in ways(picture):
        assert [words for words, inside in texts if overlap(way, inside)] == []
    for words, (left, top, right, bottom) in texts:
        assert 0 < left < right < 1200, words
        assert 0 < top < bottom < float(picture.get("height")), words


def place(text):
    """The box that words fill, in a wide font: left, top, right, bottom."""
    size, x, y = (float(text.get(name)) for name in ("font-size", "x", "y"))
    width = len(text.text) * size * (0.66 if text.get("font-weight") else 0.57)
    left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    return left, y - 0.75 * size, left + width, y + 0.2 * size


def ways(picture):
    """The straight parts of arrows, each as a box without width or height."""
    for path in picture.iter(SVG + "path"):
        if path.get("marker-end"):
            points = [tuple(map(float, at.split())) for at in re.split("[ML]", path.get("d"))[1:]]
            for (x1, y1), (x2, y2) in pairwise(points):
                yield min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_names_stay_as_they_are_when_xml_reserves_their_letters():
    picture = ElementTree.fromstring(  # noqa: S314 - it is ours
        drawing.draw(with_names_that_xml_reserves(facts("prod")))
    )
    texts = [text.text for text in picture.iter(SVG + "text")]
    assert "branch <a&b>, folder dags" in texts
    assert "branch <a&b>" in picture.find(SVG + "desc").text
