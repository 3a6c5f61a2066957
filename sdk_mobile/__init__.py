"""What a phone app imports: log in, card, top-up, pay, codes, history; works offline.

Knows the backend only by its HTTP contract, and terminals only by bytes.
"""

from __future__ import annotations

from sdk_mobile.attesting import Attester, SandboxPlatform
from sdk_mobile.client import Language
from sdk_mobile.errors import (
    AnswerMalformed,
    ClockWrong,
    CodeUnreadable,
    KeysUnreadable,
    LoginLocked,
    NotReady,
    Offline,
    OutcomeUnknown,
    Problem,
    Refused,
    SdkError,
    SignedOut,
    StorageDamaged,
    StorageFailed,
)
from sdk_mobile.identity_code import IdentityCodes, IdentityCodeView
from sdk_mobile.keychain import Keychain, KeychainStorage
from sdk_mobile.keys import DeviceKeys, SoftwareDeviceKeys
from sdk_mobile.models import (
    Account,
    Balance,
    CardChange,
    ClockView,
    Device,
    History,
    Line,
    LoginCode,
    MerchantCodeView,
    OfflineView,
    PayCodeView,
    Payment,
    Person,
    PhoneCard,
    TopUp,
)
from sdk_mobile.operations import Resumed
from sdk_mobile.pictures import PictureKind
from sdk_mobile.recovery import Recovered
from sdk_mobile.ride_code import RideCodes, RideCodeView
from sdk_mobile.storage import FileStorage, MemoryStorage, Storage
from sdk_mobile.wallet import Wallet

__all__ = [
    "Account",
    "AnswerMalformed",
    "Attester",
    "Balance",
    "CardChange",
    "ClockView",
    "ClockWrong",
    "CodeUnreadable",
    "Device",
    "DeviceKeys",
    "FileStorage",
    "History",
    "IdentityCodeView",
    "IdentityCodes",
    "Keychain",
    "KeychainStorage",
    "KeysUnreadable",
    "Language",
    "Line",
    "LoginCode",
    "LoginLocked",
    "MemoryStorage",
    "MerchantCodeView",
    "NotReady",
    "Offline",
    "OfflineView",
    "OutcomeUnknown",
    "PayCodeView",
    "Payment",
    "Person",
    "PhoneCard",
    "PictureKind",
    "Problem",
    "Recovered",
    "Refused",
    "Resumed",
    "RideCodeView",
    "RideCodes",
    "SandboxPlatform",
    "SdkError",
    "SignedOut",
    "SoftwareDeviceKeys",
    "Storage",
    "StorageDamaged",
    "StorageFailed",
    "TopUp",
    "Wallet",
]
