"""一人: base records, log-in by phone and one-time code, registration. The door to `identity`."""

from backend.identity.challenges import LOGIN_CODE_REQUESTED, LoginCode
from backend.identity.errors import BaseRecordsDamaged, PersonUnknown
from backend.identity.logins import LogIn, Logins, Tokens
from backend.identity.model import BaseRecord, IdNumber, Person, read_base_records
from backend.identity.service import Identity, Register
from backend.identity.sms import LoginCodeSender, SmsFailed, SmsGateway
from backend.identity.sms_sandbox import SandboxMessage, SandboxSms
from backend.identity.states import PersonState

__all__ = [
    "LOGIN_CODE_REQUESTED",
    "BaseRecord",
    "BaseRecordsDamaged",
    "IdNumber",
    "Identity",
    "LogIn",
    "LoginCode",
    "LoginCodeSender",
    "Logins",
    "Person",
    "PersonState",
    "PersonUnknown",
    "Register",
    "SandboxMessage",
    "SandboxSms",
    "SmsFailed",
    "SmsGateway",
    "Tokens",
    "read_base_records",
]
