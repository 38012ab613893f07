"""Texts as words or characters, and these as numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

END, UNKNOWN = 0, 1
SPECIAL = ("<end>", "<unknown>")
KINDS = ("word", "character")
WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]|\n")
CLOSING, OPENING = set(".,;:!?)]}\n"), set("([{\n")


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; punctuation marks and line ends are separate words."""
    return WORD.findall(text.lower())


def split_tokens(text: str, kind: str) -> list[str]:
    """Return the tokens of a text; kind is one of KINDS."""
    return split_words(text) if kind == "word" else list(text)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one of KINDS, by number, END and UNKNOWN first."""

    kind: str
    vocabulary: list[str]

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens."""
        numbers = {token: number for number, token in enumerate(self.vocabulary)}
        return [numbers.get(token, UNKNOWN) for token in split_tokens(text, self.kind)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of these tokens; an end becomes a blank line. Words are in lower case."""
        tokens = ["\n\n" if number == END else self.vocabulary[number] for number in numbers]
        if self.kind == "character":
            return "".join(tokens)
        text = ""
        for token in tokens:
            closes = token[0] in CLOSING or not text or text[-1] in OPENING
            text += token if closes else f" {token}"
        return text
