"""Staff of the city: accounts, log-in, sessions on the internal network. The door to `staff`."""

from backend.staff.authenticator import StaffAuthenticator, StaffCookie
from backend.staff.model import PERMISSIONS, RoleUnknown, StaffMember, StaffSession
from backend.staff.service import Staff

__all__ = [
    "PERMISSIONS",
    "RoleUnknown",
    "Staff",
    "StaffAuthenticator",
    "StaffCookie",
    "StaffMember",
    "StaffSession",
]
