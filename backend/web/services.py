"""How a resource finds its service: by type, in the application that was joined in backend.app."""

from __future__ import annotations

from typing import TypeVar, cast

from flask import Flask, current_app

T = TypeVar("T")


def provide(app: Flask, *services: object) -> None:
    """Make `services` known to the application, each by its type."""
    known = app.extensions.setdefault("city_services", {})
    known.update({type(one): one for one in services})


def service(kind: type[T]) -> T:
    """The application's service of this type."""
    return cast(T, current_app.extensions["city_services"][kind])
