"""A process of its own for the tests of memory: opens keys as told, works, and waits or dies.

memory_lab.py work STORE KEK    work with every kind of key, say so, wait for a line
memory_lab.py move STORE KEK    move the keys into the token
memory_lab.py abort keep|leave  die with a core dump, protected or not
memory_lab.py greenlets STORE KEK   work in greenlets, and count what else got to run
"""

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import os
import sys
from pathlib import Path

import gevent

from backend.kernel import SystemClock
from backend.keys import KeyRef, NamedKeys, SessionMac, TacMac, TokenMac
from backend.keys.admin import KeyAdmin
from backend.keys.opening import open_keys
from backend.keys.process import is_memory_private, keep_memory_private
from backend.keys.settings import KeySettings

FACTORS = (b"issuer 1", b"serial 1")


def say(*words: object) -> None:
    """A line that the test reads."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def work(keys: NamedKeys) -> None:
    """Every kind of key, a few times."""
    for number in range(20):
        data = b"%d" % number
        keys.mac(KeyRef.SECRETS, data)
        keys.derive_and_mac(KeyRef.TOKEN_MASTER, TokenMac(data), data)
        keys.derive_and_mac(KeyRef.PURCHASE_3DES, SessionMac(FACTORS, b"seed 123"), data)
        keys.derive_and_mac(KeyRef.TAC_3DES, TacMac(FACTORS), data)
        keys.sign(KeyRef.ISSUER_SIGNING, data)
        keys.wrap(KeyRef.TRANSPORT, KeyRef.LOAD_3DES, FACTORS)
        sealed = keys.encrypt(KeyRef.PII_CIPHER, data, b"row")
        assert keys.decrypt(KeyRef.PII_CIPHER, sealed, b"row") == data


def in_greenlets(keys: NamedKeys) -> tuple[int, int]:
    """(answers, turns of a greenlet that only counts) while 50 greenlets ask."""
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    counting = gevent.spawn(count)
    asking = [gevent.spawn(keys.mac, KeyRef.SECRETS, b"%d" % (n % 5)) for n in range(50)]
    gevent.joinall(asking, timeout=30)
    counting.kill()
    return len([one for one in asking if one.value]), turns


def main() -> None:
    """Does what the command line says."""
    act, *arguments = sys.argv[1:]
    if act == "abort":
        if arguments == ["keep"]:
            keep_memory_private()
        say(is_memory_private())
        os.abort()
    files = Path(arguments[0]), Path(arguments[1])
    keys = open_keys(files, KeySettings.load(os.environ), SystemClock())
    if act == "move":
        say(len(KeyAdmin(keys.vault, SystemClock()).move_to_device("li")))
    elif act == "greenlets":
        say(*in_greenlets(keys))
    else:
        work(keys)
        say("worked")
        sys.stdin.readline()


if __name__ == "__main__":
    main()
