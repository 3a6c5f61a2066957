"""What the web SDK takes from the Python code: types, words, vectors, the cache's version.

`python -m tools.openapi_types` writes the files; `files()` tells what should be in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.openapi_types import cache_version, types, vectors, words

ROOT = Path(__file__).resolve().parent.parent.parent
WEB = ROOT / "sdk_mobile" / "web"
VECTORS = ROOT / "sdk_mobile" / "vectors"


def files() -> Mapping[Path, str]:
    """Every written file with the text it should have now; the last one depends on the others."""
    made = {
        WEB / "api-types.js": types.module(types.public_document()),
        WEB / "words.js": words.module(),
    }
    made |= {VECTORS / f"{name}.json": text for name, text in vectors.documents().items()}
    worker = WEB / "service-worker.js"
    made[worker] = cache_version.with_version(worker.read_text("utf-8"), WEB, made)
    return made
