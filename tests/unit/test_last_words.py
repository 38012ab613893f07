"""What a program printed last: a traceback's exception comes first, with the user's own line."""

from __future__ import annotations

import pytest

from studies.run.last_words import last_words
from studies.run.process import Ended

TRACEBACK = """epoch 1 loss 0.5
 45%|####5     | 9/20\r 90%|######### | 18/20
Traceback (most recent call last):
  File "/home/me/train.py", line 9, in <module>
    loss = step(x)
           ^^^^^^^
  File "/env/lib/python3.11/site-packages/torch/nn/functional.py", line 3511, in cross_entropy
    return torch._C._nn.cross_entropy_loss(
           ~~~~~~~~~^^^^^^^^^
RuntimeError: mat1 and mat2 shapes cannot be multiplied
  (2x4 and 3x4)
"""


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (TRACEBACK, "RuntimeError: mat1 and mat2 shapes cannot be multiplied\n  (2x4 and 3x4)\n(train.py, line 9)"),
        (
            '  File "a b.py", line 3\n    f(\n     ^\nSyntaxError: never closed\n',
            "SyntaxError: never closed\n(a b.py, line 3)",
        ),
        (TRACEBACK.partition("RuntimeError")[0].replace("~", "^"), None),
        (TRACEBACK + 5 * "went on\n" + "error: no data\n", 4 * "went on\n" + "error: no data"),
        ("one\n\n  two\n", "one\ntwo"),
        ("".join(f"{number}\n" for number in range(9)), "4\n5\n6\n7\n8"),
        ("", ""),
    ],
)
def test_an_exception_comes_without_its_frames_and_other_output_with_its_last_lines(
    tail: str, expected: str | None
) -> None:
    words = last_words(Ended(256, tail=tail))
    assert words == expected if expected is not None else words.endswith("cross_entropy_loss(")
