"""An answer that is complete when it is made: a text of known length. Knows no domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Told(Response):
    """A text for a method that is not HEAD.

    Werkzeug would copy the headers, look for what is not among them and wrap the text, so that
    streams and files close; a text has nothing to close.
    """

    def __init__(self, text: str, status: int, content_type: str) -> None:
        data = text.encode()
        super().__init__(data, status, content_type=content_type)
        self.manners: Iterable[tuple[str, str]] = ()  # headers that every answer has

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self.status, [*self.headers, *self.manners])
        return [self.get_data()]
