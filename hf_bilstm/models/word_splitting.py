"""Splitting of raw text into words, the way English treebanks do, as one regular expression of tokenizer.json.

The conventions are those of the Penn Treebank as UD English EWT carries them on: punctuation is apart, and so are
clitics (`do n't`, `it 's`) and the parts of most hyphenated words (`long - term`, but `e-mail`); web and e-mail
addresses, file names, abbreviations, emoticons and emoji stay whole. Case makes hardly a difference, so that folding
to lower case may come first.
"""

from __future__ import annotations

from tokenizers import Regex, pre_tokenizers

_START, _END = r"(?<![\p{L}\p{N}])", r"(?![\p{L}\p{N}])"
_CLITIC = rf"(?i:['’`](?:s|m|d|ll|re|ve)|n['’]t){_END}"
# An apostrophe between letters that begins no clitic belongs to the word: O'Neil, Qa'ida.
_WORD = r"\p{L}(?:[\p{L}\p{M}\p{N}_]|['’](?=\p{L}))*"
_NUMBER = r"\p{N}+(?:[.,:]\p{N}+)*"
# Of names with dots in them.
_ENDINGS = "com|org|net|edu|gov|info|co\\.uk|pdf|docx?|xlsx?|pptx?|html?|jpe?g|gif|png|txt|zip|exe|mp3|url"
_ABBREVIATIONS = (
    "mr|mrs|ms|dr|prof|sr|jr|st|vs|inc|ltd|co|corp|gen|gov|sen|rep|rev|lt|col|sgt|capt|dept|attn|ft|etc|jan|feb|mar|apr|"
    "jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thurs?|fri|no(?=\\.\\s*\\p{N})"
)
_PREFIXES = (
    "anti|auto|bi|bio|co|counter|de|e|ex|extra|hyper|inter|intra|mega|meta|mid|mini|mis|multi|neo|non|over|para|post|pre|"
    "pro|pseudo|quasi|re|semi|sub|super|trans|tri|ultra|un|under|uni"
)
# Words written as one: the first part of each, and what must follow it.
_CONTRACTIONS = {
    "can": "not",
    "gon|wan": "na",
    "got|out": "ta",
    "a": "lot",
    "i": "(?:m|ve)",
    "do|did|does|would|could|should|is|was|has|had|have|are|wo|ca|ai": "nt",
}
# Tried one after the other at each place; the first that fits is a word.
_WORDS = (
    r"(?i:https?://|www\.|mailto:)[^\s<>\"“”]*[^\s<>\"“”.,;:!?')\]]",
    r"[\p{L}\p{N}._%+\-]++@[\p{L}\p{N}\-]+(?:\.[\p{L}\p{N}\-]+)*",
    rf"[\p{{L}}\p{{N}}_\-]++(?:\.[\p{{L}}\p{{N}}_\-]+)*\.(?i:{_ENDINGS}){_END}",
    rf"{_START}\p{{Ll}}+(?:\.\p{{Ll}}+){{2,}}{_END}",  # comp.sources.unix
    r"[@#]\p{L}[\p{L}\p{N}_]*",
    rf"(?:[:;=8][\-o*']?[()\[\]dDpP/\\|}}{{@]+|\^_+\^){_END}",
    # The full stop of an abbreviation is apart at the very end of a text.
    rf"{_START}(?=\p{{L}}{{2,6}}\.)(?i:{_ABBREVIATIONS})\.(?!\s*$)",
    rf"{_START}\p{{L}}\.(?:\p{{L}}\.)+(?!\s*$){_END}",
    rf"{_START}\p{{L}}(?:\.\p{{L}})+{_END}",
    rf"{_START}(?!i)\p{{L}}\.(?=\s+\p{{L}})",
    *(rf"{_START}(?i:(?:{first})(?={rest}{_END}))" for first, rest in _CONTRACTIONS.items()),
    _CLITIC,
    rf"{_START}(?=\p{{L}}{{1,6}}-)(?i:{_PREFIXES})-{_WORD}",
    rf"\p{{L}}{{1,3}}&\p{{L}}{{1,3}}{_END}",
    rf"(?:1-)?\p{{N}}{{3}}-(?:\p{{N}}{{3}}-)?\p{{N}}{{4}}{_END}",
    rf"{_NUMBER}(?i:st|nd|rd|th|s|(?![km])\p{{L}}){_END}",
    r"\p{N}+/\p{N}+/\p{N}+",
    _NUMBER,
    rf"{_WORD}?(?={_CLITIC})",
    _WORD,
    r"\.{2,}|[!?:.][!?]+|[\-=*_~#+]{2,}|‘’|(\S)\1+",
    r"(?!\s)\X",  # one character as a reader sees it, such as an emoji of several
)


def split_as_treebank() -> pre_tokenizers.PreTokenizer:
    """Make what splits raw text into words of a treebank; offsets are exact, and only white space is left out."""
    words = pre_tokenizers.Split(Regex("|".join(_WORDS)), "isolated")
    return pre_tokenizers.Sequence([words, pre_tokenizers.WhitespaceSplit()])


def split_at_punctuation() -> pre_tokenizers.PreTokenizer:
    """Make what splits raw text at white space and takes every punctuation character for a word."""
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")])


# Ways to split raw text into words, each with the word `don't` as it splits it.
SPLITTINGS = {
    "treebank": (split_as_treebank, ["do", "n't"]),
    "punctuation": (split_at_punctuation, ["don", "'", "t"]),
}
