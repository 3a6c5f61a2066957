"""Another process that writes: takes SQLite's write lock, says so, lets go when told or in time.

Usage: lock_holder.py FILE SECONDS. Prints `held`, then waits for a line or SECONDS.
"""

from __future__ import annotations

import select
import sqlite3
import sys

if __name__ == "__main__":
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)  # noqa: T201 - the signal to the test
    select.select([sys.stdin], [], [], float(sys.argv[2]))
    connection.execute("ROLLBACK")
    connection.close()
