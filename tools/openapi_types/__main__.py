"""Writes the generated files of the web SDK; says which of them changed."""

from __future__ import annotations

from tools.openapi_types import ROOT, files


def main() -> None:
    """Writes what differs."""
    for path, text in files().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
