"""One card from the files it is kept in: a mobile card, purses, or both; knows no reader."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from card_protocol.epurse.files import PublicData
from card_protocol.mobile_card import HolderCheck
from hce.applet import Applet
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.demonstration import renew_key_if_needed
from hce.disk import read_plain
from hce.errors import CardFileUnfit
from hce.inspect import masked
from hce.inspect.shapes import number_of
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS, IssuerKeys
from hce.purse_store import MAGIC, STORE_BYTES
from hce.rehearsal import RandomBytes
from hce.store import FileCardStore

SNIFFED_BYTES: Final = 4
Now = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Opened:
    """One application and what may be told about it: `number` is masked."""

    applet: Applet
    path: Path
    number: str
    is_purse: bool
    is_own_issuer: bool = False  # a mobile card that vouches for itself
    is_test: bool = False  # a purse under keys everybody knows


@dataclass(frozen=True, slots=True)
class OpenCard:
    card: Card
    applications: tuple[Opened, ...]  # in the directory's order


@contextmanager
def open_card(
    paths: Sequence[Path],
    keys: IssuerKeys | None,
    now: Now,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Iterator[OpenCard]:
    """A card with what is in these files, mobile card first and purses last (design A.1).

    Purses are sealed with `keys`, TEST keys when None, and are nobody else's until the end of the
    `with`. Raises CardFileProblem.
    """
    kinds = sorted((is_purse_file(path), at) for at, path in enumerate(paths))
    with ExitStack() as stack:
        opened: list[Opened] = []
        for is_purse, at in kinds:
            if is_purse:
                one = _open_purse(paths[at], keys or TEST_KEYS, stack, random_bytes)
            else:
                one = _open_mobile_card(paths[at], now)
            if one.applet.aid in {other.applet.aid for other in opened}:
                raise CardFileUnfit(one.path, "a second application of one name on one card")
            opened.append(one)
        yield OpenCard(Card([one.applet for one in opened]), tuple(opened))


def is_purse_file(path: Path) -> bool:
    """By size or beginning: a torn purse has only one of the two. Raises CardFileProblem."""
    file = read_plain(path, SNIFFED_BYTES)
    if file.body.startswith(b"{"):
        return False
    return file.size == STORE_BYTES or file.body == MAGIC


def _open_mobile_card(path: Path, now: Now) -> Opened:
    """A program on a desk checks no holder."""
    store = FileCardStore(path)
    renew_key_if_needed(store, now())
    record = store.record()
    applet = MobileCardApplet(store, store.signer(), holder_check=lambda: HolderCheck.NONE, now=now)
    number = masked(record.state.certificate.token_number)
    is_own_issuer = record.issuer_public_key is not None
    return Opened(applet, path, number, is_purse=False, is_own_issuer=is_own_issuer)


def _open_purse(
    path: Path, keys: IssuerKeys, stack: ExitStack, random_bytes: RandomBytes
) -> Opened:
    store = stack.enter_context(PurseFileStore(path, keys.sealing_key))
    public = PublicData.decode(store.view().public_body)
    number = masked(number_of(public))
    applet = EpurseApplet(store, random_bytes=random_bytes)
    return Opened(applet, path, number, is_purse=True, is_test=keys.is_test)
