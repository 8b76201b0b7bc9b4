"""Keeps the memory of this process, which holds keys and opened messages, off the disk and from other programs."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def forbid_core_dumps() -> None:
    """Let no crash of this process leave its memory on disk, and no process of the same user attach to it.

    Call before anything secret is read. The limit alone is not enough: the kernel does not apply it where core dumps
    are piped to a program (core(5)), as systemd does. What is not dumpable is dumped in neither way. Root still can.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # No failure is possible with these arguments, and none would be a reason not to run.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
