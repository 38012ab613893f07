"""Words as numbers: the reserved ones, and a function from a title to its words' numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from objectives._data.titles.tokens import Recipe, tokenizer

PAD, UNK = 0, 1  # the numbers of padding and of a word that is not in the vocabulary
SPECIAL_WORDS = ("<pad>", "<unk>")  # no cleaned title holds such a word


def encoder(recipe: Recipe, vocabulary: Sequence[str]) -> Callable[[str], list[int]]:
    """A function from a title to its words' numbers, cleaned as in preparation; [UNK] when cleaning leaves nothing."""
    tokenize, numbers = tokenizer(recipe), {word: number for number, word in enumerate(vocabulary)}
    return lambda title: [numbers.get(word, UNK) for word in tokenize(title)] or [UNK]
