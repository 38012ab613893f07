"""The options of a program, as its --help shows them: argparse, click, typer, hydra, absl, fire, docopt, tyro.

All of them begin an option's block of lines with its flags, then what it takes, then words, which tell the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

FLAG = re.compile(r"(?<![\w\-=<\[])--?(?:\[no-?\])?[A-Za-z][\w.\-]*")
DEFAULT = re.compile(
    r"(?:\bdefault(?:s to|\s+is|\s+value is|\s*[:=])\s*|[\[(]default\s+)"
    r"(?P<value>\[[^\]]*\]|'[^']*'|\"[^\"]*\"|[^\s\])},;]+)",
    re.IGNORECASE,
)
TAKES = re.compile(  # a column that says what an option takes
    r"[<{].*|\[(?!default|required|env).*|"
    r"(float|integer|int|number|text|str|string|path|file|directory|bool|boolean)( range)?",
    re.IGNORECASE,
)
CHOICES = re.compile(r"\{([^{}]+)\}|[<\[]([^<>\[\]|]+(?:\|[^<>\[\]|]+)+)[\]>]")
FLOAT, WHOLE = (
    re.compile(r"\bfloat\b|a (?:\S+ )?number\b", re.IGNORECASE),
    re.compile(r"\b(int|integer)\b", re.IGNORECASE),
)
COMMANDS = re.compile(
    r"\{([\w,-]+)\} \.\.\.|^ *(?:sub)?commands:?[ \t]*\n((?: +\S.*\n?)+)", re.IGNORECASE | re.MULTILINE
)
DRAWN = re.compile(r"\x1b\[[0-9;]*m|[│╭╮╰╯─┃]")  # colours and boxes
ASKS_FOR_HELP = {
    "h",
    "help",
    "version",
    "helpfull",
    "helpshort",
    "print_config",
    "install_completion",
    "show_completion",
}
FAR = 8  # columns: a line that begins with a dash so much deeper is text of the option above


@dataclass(frozen=True)
class Option:
    """One option. flag: as it is typed; of hydra, the dotted key, without dashes. off: the flag for its opposite.

    takes: how many values: 0, 1, or 2 for several. default: None where it is not known. kind: of its value, where that
    is told. choices: as they are typed. excluded: another option forbids it. others: its defaults where a choice before
    it is another. when: it exists only with these values of choices before it. flags: all that it may be typed as.
    """

    flag: str
    off: str | None = None
    takes: int = 1
    default: Any = None
    kind: type | None = None
    choices: tuple[Any, ...] = ()
    required: bool = False
    excluded: bool = False
    others: tuple[Any, ...] = ()
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flags: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def name(self) -> str:
        """Its name as that of a parameter."""
        return re.sub(r"\W", "_", self.flag.lstrip("-"))

    @property
    def words(self) -> list[str]:
        """The words of its name in small letters: `optim.weight_decay` is optim, weight, decay."""
        return _words(self.name)

    @property
    def last_words(self) -> list[str]:
        """The words of its last part: of `optim.weight_decay` weight, decay."""
        return _words(re.sub(r"\W", "_", self.flag.lstrip("-").rpartition(".")[2]))


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word.lower() for word in spaced.split("_") if word]


@dataclass(frozen=True)
class Usage:
    """What a help text says. arguments: what stands without a flag. commands: of which one is to be named first."""

    options: list[Option]
    arguments: list[str]
    commands: list[str]


def undrawn(text: str) -> str:
    """Return a text without colours and boxes."""
    return DRAWN.sub(lambda found: "" if found[0][0] == "\x1b" else " ", text)


def usage_of(text: str) -> Usage:
    """Read what a program printed when it was asked for help."""
    text = undrawn(text)
    if "== Config ==" in text:
        return Usage(list(of_hydra(text)), [], [])
    before, line, rest = _split(text)
    options = [option for block in _blocks(rest.splitlines()) if (option := _option(block)) is not None]
    left = _without_brackets(line)
    needed = set(FLAG.findall(left))
    excluded = _exclusive(line, options)
    options = [
        replace(option, required=option.required or bool(option.flags & needed), excluded=option.flag in excluded)
        for option in options
    ]
    known = {option.flag: option for option in options}  # the last of two with one name
    of_classes = {
        flag.removesuffix(".help") for flag in known if flag.endswith(".help")
    }  # jsonargparse: no value to type
    known = {flag: option for flag, option in known.items() if flag.removesuffix(".help") not in of_classes}
    takes = {flag: option.takes for option in known.values() for flag in option.flags}
    return Usage(list(known.values()), _arguments(left, takes), _commands(line, before + rest))


def typed(text: str) -> Any:
    """Return a value as it stands in a help text: a number, true or false, None, or text."""
    text = text.strip()
    text = text.strip("`")
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        text = text[1:-1]
    text = text.rstrip(".") if not text.rstrip(".").isdigit() else text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("none", "null", "", "<unset>"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _split(text: str) -> tuple[str, str, str]:
    """Return what stands before the usage, the usage in one line, and what stands after it."""
    found = re.search(
        r"^ *(?:usage|synopsis):?[ \n](.*?)(?:\n[ \t]*\n|\Z)", text, re.IGNORECASE | re.MULTILINE | re.DOTALL
    )
    if found is None:
        return "", "", text
    return text[: found.start()], " ".join(found[1].split()), text[found.end() :]


def _without_brackets(line: str) -> str:
    while (shorter := re.sub(r"\[[^\[\]]*\]", " ", line)) != line:
        line = shorter
    return line


def _exclusive(line: str, options: list[Option]) -> set[str]:
    """Return the flags of which a usage takes one at most: `[--adam | --sgd]`, but not `[--deep | --no-deep]`."""
    groups = [set(FLAG.findall(group)) for group in re.findall(r"[\[(]([^\[\]()]* \| [^\[\]()]*)[\])]", line)]
    named = [[option.flag for option in options if option.flag in group] for group in groups]
    return {flag for flags in named if len(flags) > 1 for flag in flags}


def _arguments(left: str, takes: Mapping[str, int]) -> list[str]:
    """Return the words of a usage without brackets that are no program, no flag and no flag's value.

    takes: how many values each flag takes.
    """
    _, *words = left.split() or [""]
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = takes.get(before, 0)
        if not is_value and re.fullmatch(r"<?[A-Za-z][\w.-]*>?", word):
            found.append(word.strip("<>"))
    return [word for word in found if word.lower() not in ("options", "flags", "command", "args")]


def _commands(line: str, rest: str) -> list[str]:
    found = COMMANDS.search(f"{line}\n{rest}")
    if found is None:
        return []
    if found[1]:
        return found[1].split(",")
    indent = re.match(" +", found[2])  # what stands deeper goes on with the line above
    return re.findall(rf"^{indent[0] if indent else ''}([\w-]+)", found[2], re.MULTILINE)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines of each option."""
    block: list[str] = []
    indent = 0
    for line in lines:
        start = re.match(r"[\s*]*(?=--?(\[no-?\])?[A-Za-z])", line)
        if start is not None and not (block and start.end() > indent + FAR):
            if block:
                yield block
            block, indent = [line.strip(" *")], start.end()
        elif block and line.strip() and len(line) - len(line.lstrip()) > indent:
            block.append(line.strip())
        elif block:
            yield block
            block = []
    if block:
        yield block


def _option(block: list[str]) -> Option | None:
    """Return the option of a block; None for one that asks for help."""
    first = re.sub(r"^(--?\S+?): ", r"\1  ", block[0])  # absl
    columns = re.split(r"\s{2,}|\t+", first)
    n_declaring = 1
    while n_declaring < len(columns) and (columns[n_declaring][:1] in "-/" or TAKES.fullmatch(columns[n_declaring])):
        n_declaring += 1
    declared, text = " ".join(columns[:n_declaring]), " ".join([*columns[n_declaring:], *block[1:]])
    flags = FLAG.findall(declared)
    flag, off = _flags(flags)
    if flag.lstrip("-").replace("-", "_") in ASKS_FOR_HELP:
        return None
    value = FLAG.split(declared)[-1].strip(" ,/|=*")
    told = next(
        (found["value"] for found in reversed([*DEFAULT.finditer(text)])), ""
    )  # libraries add theirs at the end
    if off is not None and told in (flag.lstrip("-"), off.lstrip("-")):  # click
        told = str(told == flag.lstrip("-"))
    listed = CHOICES.search(declared) or CHOICES.match(text)
    choices = () if listed is None else tuple(re.split(r"[,|]\s*", listed[1] or listed[2]))
    # absl says of no option that it takes a value, but of each what its default is.
    is_switch = off is not None or (not value and not choices and isinstance(typed(told), bool | None))
    default = _default(told, is_switch, choices)
    return Option(
        flag,
        off,
        0 if is_switch else _n_values(value),
        False if is_switch and off is None and default is None else default,
        _kind(f"{value} {text}"),
        () if is_switch else choices,
        re.search(r"[\[(]required[\])]", text, re.IGNORECASE) is not None,
        flags=frozenset(flags),
    )


def _flags(flags: list[str]) -> tuple[str, str | None]:
    """Return the flag with the longest name, and its opposite."""
    both = next((flag for flag in flags if "[no" in flag), None)
    if both is not None:
        return re.sub(r"\[no-?\]", "", both), both.replace("[", "").replace("]", "")
    bare = {flag.lstrip("-"): flag for flag in flags}
    off = {flag for name, flag in bare.items() if (m := re.match(r"no-?(.+)", name)) and m[1] in bare}
    chosen = max((flag for flag in flags if flag not in off), key=lambda flag: (flag.startswith("--"), len(flag)))
    return chosen, next((flag for flag in flags if flag in off), None)


def _n_values(value: str) -> int:
    return 2 if "..." in value or re.search(r"\b(\w+)\b[, ]+\1\b", value) else 1


def _default(told: str, is_switch: bool, choices: tuple[str, ...]) -> Any:
    value = typed(told)
    if not isinstance(value, bool) or is_switch:
        return value
    told = told.strip("'\"")  # a bool that is typed as a word is that word, as its program shows it
    return next((choice for choice in choices if choice.lower() == told.lower()), told)


def _kind(text: str) -> type | None:
    return float if FLOAT.search(text) else int if WHOLE.search(text) else None


def of_hydra(text: str) -> Iterator[Option]:
    """Yield every value of the config in hydra's help; `hydra.options_of` has the groups, which bring others."""
    shown = text.partition("== Config ==")[2].partition("\n\n")[2].partition("\n\n")[0]
    try:
        config = yaml.safe_load(shown)
    except yaml.YAMLError:
        config = None
    yield from _leaves(config if isinstance(config, dict) else {}, "")


def _leaves(config: Mapping[Any, Any], place: str) -> Iterator[Option]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{place}{key}.")
        elif isinstance(value, list):
            yield Option(f"{place}{key}", takes=2, default=value)
        else:
            choices = ("true", "false") if isinstance(value, bool) else ()
            default = str(value).lower() if isinstance(value, bool) else typed(str(value))
            yield Option(f"{place}{key}", default=default, choices=choices)
