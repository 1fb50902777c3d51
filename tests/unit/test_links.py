"""Every link of the documents leads somewhere: to a file of the repository, and to a heading in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "deploy").glob("**/*.md"),
        *(REPOSITORY / "migrations").glob("*.md"),
    ]
)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def prose(text: str) -> str:
    """A document without its code, in which nothing is a link; of code in a line, the plain characters are left."""
    without = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"`([^`\n]*)`", lambda code: re.sub(r"[^\w\- ]", "", code[1]), without)


def anchors(text: str) -> set[str]:
    """What the headings of a document are called in links, as GitHub makes it of them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.*)$", prose(text), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(next(name for name in (plain, *(f"{plain}-{n}" for n in range(1, 99))) if name not in found))
    return found


def links(document: Path) -> Iterator[str]:
    """Where a document points to, as it says it."""
    for found in LINK.finditer(prose(document.read_text("utf-8"))):
        yield found[1] or found[2]


def broken(document: Path) -> Iterator[str]:
    """The links of a document that lead nowhere."""
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target.read_text("utf-8")):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(document: Path) -> None:
    assert list(broken(document)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# B\n## The `x` of y, z\n## Twice\n## Twice\n")
    document = tmp_path / "a.md"
    document.write_text(
        "# A b\n[a](#a-b) [b](b.md) [c](b.md#the-x-of-y-z) [d](b.md#twice-1) [e](https://x/y) ![f](no.png)\n"
        '[`g`](b.md#nothing) [h](c.md#x) <img src="none.png">\n```\n[i](none.md)\n```\n'
    )
    assert list(broken(document)) == [
        "no.png: no such file",
        "b.md#nothing: no such heading",
        "c.md#x: no such file",
        "none.png: no such file",
    ]


def test_a_document_that_is_nowhere_linked_is_not_found_by_a_reader() -> None:
    linked = {
        (document.parent / link.partition("#")[0]).resolve() for document in DOCUMENTS for link in links(document)
    }
    lost = [path for path in DOCUMENTS if path.name != "README.md" and path.resolve() not in linked]
    assert lost == []
