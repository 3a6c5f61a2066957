"""How gunicorn serves `wsgi:public` and `wsgi:internal`; it reads this file where it is started.

CITY_WORKERS says how many processes a network has (2). The worker below is gunicorn's own for
gevent with the HTTP server that `make run` uses.
"""

from __future__ import annotations

import os
import sys

from gunicorn.workers.ggevent import GeventPyWSGIWorker

from backend.kernel import garbage

WORKERS_MAX = 256
NOT_BOOTED = 1  # not gunicorn's own 3, which ends it


class CityWorker(GeventPyWSGIWorker):
    """A process that serves with greenlets."""

    wsgi_handler = None  # the server knows its own

    def patch(self) -> None:
        """Makes sockets cooperate, and only then imports what opens or holds them."""
        super().patch()
        from backend.web.server import Server  # noqa: PLC0415 - only now

        self.server_class = Server

    def init_process(self) -> None:
        """Boots, then serves; a replacement that cannot boot is replaced in its turn.

        gunicorn ends altogether when a worker does not boot. In the beginning that is right: the
        operator must mend something. Later a database is away for a moment, and the workers that
        are left will need no boot when it comes back.
        """
        try:
            super().init_process()
        except Exception:
            if self.booted or self.age <= self.cfg.workers:
                raise
            self.log.exception("a replacement did not boot; another one is tried")
            sys.exit(NOT_BOOTED)


def _workers() -> int:
    text = os.environ.get("CITY_WORKERS", "2")
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= WORKERS_MAX:
        raise ValueError(f"CITY_WORKERS must be 1 to {WORKERS_MAX}, not {text!r}")
    return int(text)


def post_worker_init(_worker: CityWorker) -> None:
    """What is there now stays."""
    garbage.settle()


workers = _workers()
worker_class = CityWorker
worker_connections = 1000  # open at a time in one process; the next wait in the backlog
backlog = 1024
preload_app = False  # a database opened before the fork would be shared, and not cooperate
timeout = 60  # a process whose loop stands still so long is replaced
graceful_timeout = 30  # for requests under way; idle connections end at once
accesslog = None  # the application writes a line for each request
errorlog = "-"
loglevel = "warning"
control_socket_disable = True  # both networks would claim the one default path
