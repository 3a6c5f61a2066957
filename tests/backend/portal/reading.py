"""Reads a page of ours as a browser would begin to: elements, attributes, text."""

from __future__ import annotations

from html.parser import HTMLParser

from flask.testing import FlaskClient

VOID = {"meta", "link", "rect", "br", "img"}


class Reading(HTMLParser):
    """What a page loads, links to, and says; and whether its elements close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.said: list[str] = []
        self.inline: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        kept = self.inline if inside in ("script", "style") else self.said
        if data.strip():
            kept.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.said)

    def values(self, name: str) -> list[str]:
        return [value for _, member, value in self.attributes if member == name]


def read(client: FlaskClient, path: str = "/", **headers: str) -> Reading:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return Reading(answer.text)
