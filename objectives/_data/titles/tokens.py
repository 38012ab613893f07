"""How a title is cleaned and cut into tokens, the same in preparation and in prediction."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

# Function words of three letters and more, after the Snowball stop lists.
SPANISH = frozenset(
    """algo algunas algunos ante antes aquel aquella aquello aunque cada como con contra cual cuando del desde
    donde durante ella ellas ellos entre era erais eran eras eres esa esas ese eso esos esta estaba estado
    estamos estan estar estas este esto estos estoy está están fue fueron fui fuimos había han has hasta hay
    haya hemos las les los más mas mis mucho muchos muy más nada nos nosotras nosotros nuestra nuestras
    nuestro nuestros otra otras otro otros para pero poco por porque que quien quienes qué sea sean ser sin
    sobre sois somos son soy sus suya suyas suyo suyos también tanto tenemos tener tengo tiene tienen toda
    todas todo todos tus tuya tuyas tuyo tuyos una unas uno unos vosotras vosotros vuestra vuestras vuestro
    vuestros""".split()  # noqa: SIM905
)
PORTUGUESE = frozenset(
    """aos aquela aquelas aquele aqueles aquilo até com como dos das dela delas dele deles depois ela elas ele
    eles entre era eram essa essas esse esses esta estamos estas estava estavam este esteja estes estou está
    estão foi fomos for foram fosse fui haja hajam havia hei houve isso isto lhe lhes mais mas mesmo meu meus
    minha minhas muito nas nem nos nossa nossas nosso nossos não num numa para pela pelas pelo pelos por qual
    quando que quem são seja sejam sem ser será seu seus sou sua suas também tem temos tenho ter teu teus teve
    tinha tinham tua tuas têm uma umas uns você vocês vos""".split()  # noqa: SIM905
)
# Portuguese function words that are merchandise in Spanish: "secador de pelo" is a hair dryer.
MERCHANDISE_IN_SPANISH = frozenset({"pelo", "pelos", "pela", "pelas"})
STOP_WORDS = {
    "none": frozenset[str](),
    "spanish": SPANISH,
    "portuguese": PORTUGUESE,
    "both": SPANISH | (PORTUGUESE - MERCHANDISE_IN_SPANISH),
}

TAG = re.compile(r"<[^<>]*>")
ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]\w*);", re.IGNORECASE)  # HTML's, such as &amp; and &#39;
DIGITS = re.compile(r"\d+")
WORDS = re.compile(r"[^\W_]+")
LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class Recipe:
    """How a title becomes tokens.

    digits: whether digits stay, as separate tokens ("64gb" is "64", "gb"); otherwise they are removed from words
    ("iphone8" is "iphone"), as in the course. min_letters: the shortest token kept. stop_words: a key of STOP_WORDS.
    """

    digits: bool
    min_letters: int
    stop_words: str


def course(language: str) -> Recipe:
    """The course's recipe for titles in `language`: "spanish", "portuguese" or "both"."""
    return Recipe(digits=False, min_letters=3, stop_words=language)


# PriceRunner's classes show in model numbers, so digits and short tokens stay. Validation balanced accuracy of a linear
# SVM (C = 1) on TF-IDF with this package's split, 10 categories / 700 clusters: the course's recipe .973 / .455; whole
# words .961 / .853; letters and digits of a word apart .989 / .889: "kgf39sb45" then shares "kgf" with similar models.
MODEL_NUMBERS = Recipe(digits=True, min_letters=1, stop_words="none")


def tokenizer(recipe: Recipe) -> Callable[[str], list[str]]:
    """A function from a title to its tokens: lower case, without tags, entities and punctuation, cut as `recipe` says.

    Cleaning twice changes nothing: tokens joined by spaces give the same tokens again.
    """
    stop_words, min_letters, keep_digits = STOP_WORDS[recipe.stop_words], recipe.min_letters, recipe.digits

    def tokenize(title: str) -> list[str]:
        text = title.lower()
        if "&" in text:
            text = ENTITY.sub(lambda entity: html.unescape(entity[0]).lower(), text)
        if not text.isascii():
            # An accent typed as a separate mark would otherwise split its word; lower() may leave such marks, too.
            text = unicodedata.normalize("NFC", text)
        if "<" in text:
            text = TAG.sub(" ", text)
        if keep_digits:
            words = LETTERS_OR_DIGITS.findall(text)
        else:
            words = [DIGITS.sub("", word) for word in WORDS.findall(text)]
        return [word for word in words if len(word) >= min_letters and word not in stop_words]

    return tokenize
