"""One code of each kind, as bytes; for the tests of scanners."""

from __future__ import annotations

from card_protocol.emvco import MERCHANT_GUID, MerchantAccount, MerchantCode
from card_protocol.pay_code import PayCode
from tests.card_protocol.code_examples import IDENTITY_CODE_TEXT, RIDE_CODE
from tests.reader_bridge.support import PAY_CODE

PAY = PAY_CODE.encode()
CONSUMER = PayCode.decode(PAY_CODE).encode_consumer().encode()
IDENTITY = IDENTITY_CODE_TEXT.encode()
RIDE = RIDE_CODE.encode()  # holds 0A and 0D
MERCHANT = (
    MerchantCode(
        merchant_account=MerchantAccount(MERCHANT_GUID, "shp_1", None, bytes(8)),
        is_dynamic=False,
        mcc="5812",
        merchant_name="OLD STREET NOODLES",
        city="HANGZHOU",
        merchant_name_zh="老街面馆",
    )
    .encode()
    .encode()
)
FOREIGN_MERCHANT = (  # the book's own example (EMVCo QRCPS-MPM, annex)
    "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN"
    "5914BEST TRANSPORT6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340"
    "603***0708A60086670902ME91320016A0112233449988770708123456786304A13A"
).encode()


def full_width(digits: str) -> str:
    """As an input method types them."""
    return "".join(chr(0xFF10 + int(digit)) for digit in digits)
