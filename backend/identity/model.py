"""What a phone, an identity number, a name and a person are. Pure: no rows, no keys, no clock."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from backend.identity.errors import (
    BaseRecordsDamaged,
    GuardianNeeded,
    IdNumberInvalid,
    NameInvalid,
    PhoneInvalid,
)
from backend.identity.states import PersonState

CODE_DIGITS = 6
CODE_TTL_SECONDS = 300
CODE_TRIES_MAX = 5
CODES_PER_HOUR_MAX = 5
RESEND_SECONDS = 60
NAME_CHARACTERS_MAX = 64

_PHONE = re.compile(r"1[3-9][0-9]{9}")
_ID_NUMBER = re.compile(r"[1-9][0-9]{16}[0-9X]")
_MIDDLE_DOTS = str.maketrans(dict.fromkeys("•‧∙・･.●", "·"))
_YES = frozenset({"1", "true", "yes", "是", "本地"})
_NO = frozenset({"0", "false", "no", "否", "外地", ""})

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"


def check_phone(text: str) -> str:
    """`text` itself when it is a mainland mobile number (11 digits). Raises PhoneInvalid."""
    if not _PHONE.fullmatch(text):
        raise PhoneInvalid
    return text


@dataclass(frozen=True, slots=True)
class IdNumber:
    """公民身份号码 (GB 11643-1999): region 6, birth 8, sequence 3, check digit (ISO 7064, 11-2)."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _ID_NUMBER.fullmatch(self.text) or check_digit(self.text[:17]) != self.text[17]:
            raise IdNumberInvalid
        if self.birth.year < 1900:
            raise IdNumberInvalid

    @classmethod
    def parse(cls, text: str, today: date) -> IdNumber:
        """From what a person typed: small x, full width and blanks are forgiven.

        Raises IdNumberInvalid, for a birth after `today` too.
        """
        number = cls(unicodedata.normalize("NFKC", text).strip().upper())
        if number.birth > today:
            raise IdNumberInvalid
        return number

    @property
    def birth(self) -> date:
        """Raises IdNumberInvalid when it is no day of the calendar."""
        year, month, day = self.text[6:10], self.text[10:12], self.text[12:14]
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            raise IdNumberInvalid from None

    def age_years(self, today: date) -> int:
        """周岁 on `today`: a year is full on the birthday (29 February: on 1 March)."""
        birth = self.birth
        return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def check_digit(first: str) -> str:
    """The 18th character for the first 17 digits (GB 11643-1999, ISO 7064 MOD 11-2)."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first, strict=True))
    return CHECK_DIGITS[total % 11]


def normal_name(text: str) -> str:
    """A name as it is compared: one kind of middle dot, no blanks. Raises NameInvalid."""
    joined = "".join(unicodedata.normalize("NFKC", text).split()).translate(_MIDDLE_DOTS)
    if not 0 < len(joined) <= NAME_CHARACTERS_MAX or not joined.isprintable():
        raise NameInvalid
    return joined.upper()


@dataclass(frozen=True, slots=True)
class AgeRule:
    """Who needs a guardian, since when, and where that is written."""

    under_years: int
    article: str
    holds_from: date


AGE_RULES: Sequence[AgeRule] = (
    AgeRule(14, "个人信息保护法 第三十一条", date(2021, 11, 1)),
    AgeRule(16, "民法典 第十九条；本市市民卡管理规定", date(2021, 1, 1)),
)


def check_age(number: IdNumber, today: date, rules: Sequence[AgeRule] = AGE_RULES) -> None:
    """Raises GuardianNeeded with the article of the first rule that speaks of this age."""
    for rule in rules:
        if today >= rule.holds_from and number.age_years(today) < rule.under_years:
            raise GuardianNeeded(article=rule.article, under_years=rule.under_years)


def next_code_at(asked: Sequence[datetime]) -> datetime | None:
    """From when a phone may ask for one more code; `asked`: its last ones, oldest first."""
    if not asked:
        return None
    at = asked[-1] + timedelta(seconds=RESEND_SECONDS)
    if len(asked) < CODES_PER_HOUR_MAX:
        return at
    return max(at, asked[-CODES_PER_HOUR_MAX] + timedelta(hours=1))


def seconds_up(span: timedelta) -> int:
    """Whole seconds of `span`, rounded up, at least 1."""
    return max(1, -(-span // timedelta(seconds=1)))


def mask_phone(phone: str) -> str:
    """138****0001."""
    return f"{phone[:3]}****{phone[-4:]}"


def mask_name(name: str) -> str:
    """张*; a name of one character shows nothing."""
    return name[0] + "*" * (len(name) - 1) if len(name) > 1 else "*"


def mask_id_number(text: str) -> str:
    """110***********1234."""
    return text[:3] + "*" * 11 + text[-4:]


@dataclass(frozen=True, slots=True)
class Person:
    """A person as others may see them: masked. The masks are None before registration."""

    person_id: str
    state: PersonState
    phone_masked: str
    name_masked: str | None = None
    id_number_masked: str | None = None
    matched_at: datetime | None = None

    @property
    def registered(self) -> bool:
        return self.state is PersonState.REGISTERED


@dataclass(frozen=True, slots=True)
class BaseRecord:
    """One person of the city's 基础信息; `is_local`: household registered here (户籍)."""

    name: str = field(repr=False)
    id_number: IdNumber
    is_local: bool


def read_base_records(rows: Iterable[Mapping[str, str]]) -> Iterator[BaseRecord]:
    """Records from CSV rows with the columns name, id_number, local_household.

    Raises BaseRecordsDamaged naming the row by its number, the first being 1.
    """
    for position, row in enumerate(rows, start=1):
        try:
            yield BaseRecord(
                name=normal_name(row["name"]),
                id_number=IdNumber(row["id_number"].strip().upper()),
                is_local=_flag(row["local_household"]),
            )
        except (KeyError, AttributeError, ValueError, IdNumberInvalid, NameInvalid):
            raise BaseRecordsDamaged(f"base records: row {position} cannot be read") from None


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError("neither yes nor no")
    return word in _YES
