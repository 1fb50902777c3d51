"""``make docs``: write every generated document of the repository in the current folder anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from indexer import schema_doc
from indexer.manual import metrics_page, settings_page

DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "migrations/SCHEMA.md": schema_doc.as_markdown,
    "docs/METRICS.md": metrics_page.as_markdown,
    "docs/CONFIGURATION.md": settings_page.as_markdown,
    "deploy/indexer.example.toml": settings_page.as_toml,
}


def main() -> None:
    """Write them and name those that changed."""
    for name, text in DOCUMENTS.items():
        path, written = Path(name), text()
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != written:
            path.write_text(written, "utf-8")
            print(name)


if __name__ == "__main__":
    main()
