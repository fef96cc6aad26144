import pytest

from tests.unit.docs.documents import ROOT, anchors, documents, links

NAMES = [str(path.relative_to(ROOT)) for path in documents()]


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_and_anchors_resolve(name):
    document = ROOT / name
    broken = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        known = anchors(target) if target.suffix == ".md" and target.is_file() else ()
        if not target.exists() or (anchor and anchor not in known):
            broken.append(link)
    assert broken == [], f"correct these links in {name}, or the headings that they name"


def test_the_readme_links_every_page_of_docs():
    listed = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert sorted(pages - listed) == [], "link them in README.md, Documentation"
