"""The service worker's list of modules and its version: a digest of what it caches."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

WORKER = "service-worker.js"
DIGEST_CHARACTERS = 16
_LINE = re.compile(r'^const VERSION = "[0-9a-f]*";$', re.M)
_LIST = re.compile(r"^const MODULES = \[[^\]]*\];$", re.M)


def with_version(worker: str, folder: Path, made: Mapping[Path, str]) -> str:
    """The worker's text with today's list and version. `made`: files as they will be written.

    Raises ValueError when the worker has no such lines.
    """
    texts = {path.name: path.read_text("utf-8") for path in folder.glob("*.js")}
    texts |= {path.name: text for path, text in made.items() if path.parent == folder}
    worker = _LIST.sub(_list(sorted(texts.keys() - {WORKER})), worker)
    digest = hashlib.sha256(_LINE.sub("", worker).encode())
    for name in sorted(texts.keys() - {WORKER}):
        digest.update(f"\0{name}\0".encode() + texts[name].encode())
    line = f'const VERSION = "{digest.hexdigest()[:DIGEST_CHARACTERS]}";'
    after, count = _LINE.subn(line, worker)
    if count != 1 or not _LIST.search(worker):
        raise ValueError("the worker has one line for VERSION and a list of MODULES")
    return after


def _list(names: list[str]) -> str:
    lines = "".join(f"  {json.dumps(name)},\n" for name in names)
    return f"const MODULES = [\n{lines}];"
