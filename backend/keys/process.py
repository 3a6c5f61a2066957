"""What this process does so that its memory, with keys in it, is not written anywhere."""

from __future__ import annotations

import ctypes
import os
import resource

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4  # linux/prctl.h


class NotProtected(Exception):
    """The kernel did not take a protection."""


def keep_memory_private() -> None:
    """No core dump, no debugger of the same user (Linux). May be called again. Raises NotProtected.

    RLIMIT_CORE 0 stops the kernel's own dumps, PR_SET_DUMPABLE 0 also those handed to a program,
    ptrace and reading through `proc` by anybody but root. A child that runs another program gets
    the first and not the second.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # a child may decide for itself
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise NotProtected(f"PR_SET_DUMPABLE: {os.strerror(ctypes.get_errno())}")


def is_memory_private() -> bool:
    """Whether both protections hold now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_CORE)
    return soft == 0 and ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
