"""What the backend told this terminal: plain facts, the signed profile, and who may sign it."""

from reader_bridge.profile.facts import ONLINE_TIMEOUT_SECONDS_MAX, Profile, point_of, profile_of
from reader_bridge.profile.keeper import ProfileKeeper
from reader_bridge.profile.pins import Pins, deny_list_keys, pins_of
from reader_bridge.profile.signed import SignedProfile, open_profile

__all__ = [
    "ONLINE_TIMEOUT_SECONDS_MAX",
    "Pins",
    "Profile",
    "ProfileKeeper",
    "SignedProfile",
    "deny_list_keys",
    "open_profile",
    "pins_of",
    "point_of",
    "profile_of",
]
