"""What the kernel says of memory that ran out."""

from __future__ import annotations

import re
from pathlib import Path


def kernel_oom_kills() -> int:
    """Return how many processes the kernel of this machine, or a memory limit, has killed since it was started.

    0 where it does not tell. It counts before it kills, so a process that is gone has been counted.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
