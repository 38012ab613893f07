"""What a program printed last, as a person wants to read it: the exception of a traceback and where it was raised."""

from __future__ import annotations

import re

from studies.run.process import Ended
from studies.run.reports import Lines

LAST_LINES = 5
FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+)')
MARKS = re.compile(r"[\s^~]+$")  # below a line of code


def last_words(ended: Ended) -> str:
    """Return the last lines of what a program printed; of a traceback, its end and the last line of the user's own."""
    lines = [line.rstrip() for line in Lines().add(f"{ended.tail}\n".encode()) if not MARKS.match(f"{line} ")]
    frames = [index for index, line in enumerate(lines) if FRAME.match(line)]
    ends = [index for index, line in enumerate(lines) if frames and index > frames[-1] and not line.startswith(" ")]
    if not ends or len(lines) - ends[0] > LAST_LINES:  # it went on after a traceback
        return "\n".join(line.strip() for line in lines[-LAST_LINES:])
    places = [found for line in lines if (found := FRAME.match(line))]
    own = [place for place in places if not re.search(r"/(site|dist)-packages/|/lib/python3|^<", place["file"])]
    place = (own or places)[-1]
    where = f"({place['file'].rpartition('/')[2]}, line {place['line']})"
    return "\n".join([*lines[ends[0] :], where])
