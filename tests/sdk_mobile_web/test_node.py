"""Node's own runner on the web SDK's tests."""

from __future__ import annotations

import re
import subprocess

from tests.sdk_mobile_web.driving import HERE, ROOT, WEB, node

SECONDS_MAX = 120
TESTS_MIN = 33


def test_every_module_and_test_of_the_web_sdk() -> None:
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = subprocess.run(
        [node(), "--test", "--test-reporter=tap", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed is not None
    assert int(passed[1]) >= TESTS_MIN, "tests were lost"


def test_modules_import_only_each_other() -> None:
    """Goal: no build step and no dependency: every import is a file beside."""
    for path in sorted(WEB.glob("*.js")):
        for found in re.findall(r'(?:from|import)\s*\(?"([^"]+)"', path.read_text("utf-8")):
            assert (WEB / found.removeprefix("./")).exists(), f"{path.name} imports {found}"


def test_the_readme_calls_what_there_is() -> None:
    """Goal: no name in the quick start that the SDK does not have."""
    readme = (WEB / "README.md").read_text("utf-8")
    blocks = "\n".join(re.findall(r"```js\n(.*?)```", readme, re.S))
    imported = re.findall(r"import \{ ([^}]+) \} from", blocks)[0].split(", ")
    calls = sorted(set(re.findall(r"wallet\.((?:ride\.|identity\.)?[a-zA-Z]+)\(", blocks)))
    program = (
        f'import * as sdk from "{(WEB / "index.js").as_uri()}";'
        'const store = new sdk.MemoryStore(), url = "https://city.example";'
        "const wallet = await sdk.Wallet.open(url, { store });"
        f"const names = {imported}.map((name) => typeof sdk[name]);"
        f"const calls = {calls}.map((call) => typeof call.split('.').reduce("
        "(value, name) => value[name], wallet));"
        "process.stdout.write([...new Set([...names, ...calls])].join());"
    )
    command = [node(), "--input-type=module", "-e", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "function"
    assert len(calls) >= 12
