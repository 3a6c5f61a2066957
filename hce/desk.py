"""What `python -m hce` does with cards on a desk: make, plug, hold, read. Reads no clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from card_protocol.errors import MalformedBytes
from card_protocol.signatures import Suite
from hce.demonstration import make_demonstration
from hce.desk_words import WORDS
from hce.disk import read_plain
from hce.errors import CardFileExists, CardFileExposed, CardFileUnfit
from hce.inspect import Language, lines_of, masked, survey_card
from hce.inspect.pcsc import card_in_reader
from hce.open_cards import OpenCard, open_card
from hce.purse_disk import PurseFileStore
from hce.purse_keys import SUITES, TEST_KEYS, IssuerKeys, read_keys
from hce.purse_order import PurseOrder, make_purse, random_number
from hce.purse_profile import PROFILES
from hce.rehearsal import RandomBytes
from hce.signer import SoftwareSigner
from hce.store import FileCardStore
from hce.transports.vpcd import PORT, SLOTS, VpcdPlug

DEMONSTRATION_PATH: Final = Path("var/hce/demo-card.json")
MOBILE_SUITES: Final = {"intl": Suite.AES_ES256, "sm": Suite.SM4_SM2}
SHANGHAI: Final = timezone(timedelta(hours=8))
FEN_PER_YUAN: Final = 100
ISSUER_KEY_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Desk:
    """One run of the program. Every method raises CardFileProblem, and what it says besides."""

    language: Language
    now: Callable[[], int]  # unix seconds
    tell: Callable[[str], None]  # a line for the person at the desk, at once
    random_bytes: RandomBytes = secrets.token_bytes  # of purses

    def new_mobile_card(
        self,
        path: Path,
        suite: Suite,
        issuer_path: Path | None = None,
        offline_max_fen: int = 0,
    ) -> None:
        """A demonstration card. It vouches for itself unless an issuer's key is named (PKCS #8)."""
        issuer = None if issuer_path is None else _issuer(issuer_path, suite)
        record = make_demonstration(self.now(), suite, issuer, offline_max_fen)
        FileCardStore.create(path, record)
        number = masked(record.state.certificate.token_number)
        self.tell(self._word("made_mobile", number=number, path=path))

    def new_purse(
        self,
        path: Path,
        profile: str,
        *,
        suite: str | None = None,
        balance_fen: int = 0,
        number: str | None = None,
        keys_path: Path | None = None,
    ) -> None:
        """By an issuer's profile, under TEST keys unless others are named. Raises OrderRefused."""
        keys = TEST_KEYS if keys_path is None else read_keys(keys_path)
        order = PurseOrder(
            PROFILES[profile],
            datetime.fromtimestamp(self.now(), UTC).astimezone(SHANGHAI).date(),
            number or random_number(),
            balance_fen,
            None if suite is None else SUITES[suite],
        )
        try:
            state = make_purse(order, keys)
        except MalformedBytes as error:  # TEST keys have all there is: the file has not
            raise CardFileUnfit(keys_path or path, error.reason) from None
        PurseFileStore.create(path, state, keys.sealing_key).close()
        yuan, fen = divmod(balance_fen, FEN_PER_YUAN)
        line = self._word(
            "made_purse",
            number=masked(order.number),
            profile=profile if suite is None else f"{profile}, {suite}",
            yuan=f"{yuan}.{fen:02d}",
            path=path,
        )
        self.tell(self._joined([line, *self._test_keys(keys.is_test)]))

    def plug(self, paths: Sequence[Path], keys_path: Path | None, host: str, port: int) -> None:
        """Keeps one card in the reader until stopped. Raises ReaderUnreachable."""
        with (
            open_card(self._given(paths), _keys(keys_path), self.now, self.random_bytes) as opened,
            VpcdPlug(opened.card, host, port) as reader,
        ):
            self._tell_card(opened, "plugged", self._slot(host, port), "takes_out")
            reader.wait()

    def hold(self, paths: Sequence[Path], keys_path: Path | None, reader: str) -> None:
        """Holds one card to an NFC reader until stopped. Raises ReaderUnreachable."""
        from hce.transports.nfcpy_listener import NfcpyListener  # noqa: PLC0415 - half a second

        with (
            open_card(self._given(paths), _keys(keys_path), self.now) as opened,
            NfcpyListener(opened.card, reader) as field,
        ):
            self._tell_card(opened, "held", reader, "takes_away")
            field.run()

    def inspect(self, reader: str | None, wait_seconds: float, *, show_personal: bool) -> None:
        """Any card in a PC/SC reader. Raises ReaderUnreachable, CardAbsent, TooTalkative."""
        with card_in_reader(reader, wait_seconds) as card:
            report = survey_card(card, card.atr)
        for line in lines_of(report, card.reader, self.language, show_personal=show_personal):
            self.tell(line)

    def _given(self, paths: Sequence[Path]) -> Sequence[Path]:
        """Those named, else the demonstration card, made when it is not there."""
        if paths:
            return paths
        if not DEMONSTRATION_PATH.exists():
            try:
                FileCardStore.create(DEMONSTRATION_PATH, make_demonstration(self.now()))
            except CardFileExists:
                return [DEMONSTRATION_PATH]  # made meanwhile by another process: as good
        return [DEMONSTRATION_PATH]

    def _tell_card(self, opened: OpenCard, key: str, place: str, end: str) -> None:
        names = [
            self._word("purse" if one.is_purse else "mobile_card", number=one.number)
            for one in opened.applications
        ]
        parts = [self._word(key, cards=self._word("with_").join(names), place=place)]
        parts += [
            self._word("own_issuer", path=one.path)
            for one in opened.applications
            if one.is_own_issuer
        ]
        parts += self._test_keys(any(one.is_test for one in opened.applications))
        self.tell(self._joined([*parts, self._word(end)]))

    def _test_keys(self, is_test: bool) -> list[str]:
        return [self._word("test_keys")] if is_test else []

    def _slot(self, host: str, port: int) -> str:
        slot = port - PORT
        key = "slot" if slot in range(SLOTS) else "no_slot"
        return self._word(key, host=host, port=port, slot=slot)

    def _joined(self, parts: list[str]) -> str:
        return ("；" if self.language is Language.ZH else "; ").join(parts)

    def _word(self, key: str, **values: object) -> str:
        return WORDS[key][self.language].format(**values)


def _keys(path: Path | None) -> IssuerKeys | None:
    return None if path is None else read_keys(path)


def _issuer(path: Path, suite: Suite) -> SoftwareSigner:
    """Raises CardFileMissing, CardFileFailed, CardFileExposed, CardFileUnfit."""
    file = read_plain(path, ISSUER_KEY_BYTES_MAX)
    if not file.is_owners_alone:
        raise CardFileExposed(path, "a key that others may read: chmod 600, and change it")
    try:
        issuer = SoftwareSigner.from_der(file.body)
    except MalformedBytes as error:
        raise CardFileUnfit(path, error.reason) from None
    if issuer.suite is not suite:
        raise CardFileUnfit(path, "the issuer's key is of another suite")
    return issuer
