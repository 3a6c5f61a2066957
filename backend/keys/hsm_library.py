"""Loads a PKCS#11 library so that threads may call it together.

python-pkcs11 0.10 calls C_Initialize(NULL), which promises the library that one thread at a time
will come (PKCS#11 2.40, 5.4); SoftHSM then takes no locks and crashes. So its initialisation is
taken back and done again with CKF_OS_LOCKING_OK.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import exceptions as faults

CKF_OS_LOCKING_OK = 0x2
CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x0, 0x191

_loading = threading.Lock()
_loaded: dict[Path, Any] = {}  # python-pkcs11 names no type for it


class NotLoaded(Exception):
    """The file is no PKCS#11 library, or it does not start."""


class _InitializeArgs(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS: no locks of ours, those of the operating system."""

    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


def load(module: Path) -> Any:
    """The library, loaded once for this process. Raises NotLoaded."""
    with _loading:
        if module not in _loaded:
            try:
                library = pkcs11.lib(str(module))
                library.finalize()
            except (faults.PKCS11Error, RuntimeError, OSError) as error:
                raise NotLoaded(f"{type(error).__name__}: {error}") from None
            initialize(module)
            _loaded[module] = library
        return _loaded[module]


def initialize(module: Path) -> None:
    """C_Initialize with the operating system's locks. Raises NotLoaded."""
    arguments = _InitializeArgs(flags=CKF_OS_LOCKING_OK)
    function = ctypes.CDLL(str(module)).C_Initialize
    function.restype = ctypes.c_ulong
    result = function(ctypes.byref(arguments))
    if result not in (CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED):
        raise NotLoaded(f"C_Initialize says {result:#x}")
