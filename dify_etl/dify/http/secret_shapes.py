"""Secrets by their looks: keys as providers give them out, and what stands where a secret belongs.

Tables and files, plans and errors all go by these. Two ways to apply them:

- `text_without_keys`: of what machines read (requests, addresses, settings, code). Whatever stands
  where a secret belongs is one.
- `prose_without_keys`: of what people and models write, where an example or a question must stay.
  There only what looks like a real one is taken: `token=…`, `?secret=APPSECRET` and
  `password = input` stay.

Repeats are bounded and begin at the begin of a word: no text of a stranger is searched over and
over.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

REMOVED = "(secret)"


class Shape(NamedTuple):
    """What a secret looks like. One of `marks` stands, in lower case, in each text that holds one;
    to look for them is a hundred times as quick as the pattern.
    """

    marks: tuple[str, ...]
    pattern: re.Pattern[str]

    def may_be_in(self, lowered: str) -> bool:
        """Whether a text in lower case has one of the marks."""
        return any(mark in lowered for mark in self.marks)


def shapes(*marked: tuple[tuple[str, ...], str]) -> tuple[Shape, ...]:
    """Patterns, each with marks, of which one stands in every text that it matches."""
    return tuple(Shape(marks, re.compile(one)) for marks, one in marked)


# What providers give out, by their own documentation: begins, and what follows. Patterns that
# Python, DuckDB and Polars read alike.
_KEYS = (
    # OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse, …
    (("sk-",), r"sk-[A-Za-z0-9]{20,}"),
    (("sk-",), r"sk-[a-z0-9]{2,8}-[A-Za-z0-9]{20,}"),
    (("sk-",), r"sk-(?:proj|ant|or|svcacct|admin)-[A-Za-z0-9_-]{16,}"),
    (("sk_",), r"sk_[0-9a-f]{40,}"),
    (("k_live_", "k_test_"), r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"),  # Stripe
    (("whsec_",), r"whsec_[A-Za-z0-9+/=_]{16,}"),
    (("akia", "asia"), r"(?:AKIA|ASIA)[A-Z0-9]{16}"),  # AWS
    (("aiza",), r"AIza[A-Za-z0-9_-]{30,}"),  # Google
    (("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}"),
    (("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    (("gho_", "ghp_", "ghr_", "ghs_", "ghu_"), r"gh[oprsu]_[A-Za-z0-9_]{20,}"),
    (("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}"),
    (("glpat-",), r"glpat-[A-Za-z0-9_-]{16,}"),  # GitLab
    (("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
    (("xapp-",), r"xapp-[A-Za-z0-9-]{10,}"),
    (("sg.",), r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),  # SendGrid
    (("hf_",), r"hf_[A-Za-z0-9]{20,}"),
    (("r8_",), r"r8_[A-Za-z0-9]{30,}"),
    (("gsk_",), r"gsk_[A-Za-z0-9]{20,}"),
    (("xai-",), r"xai-[A-Za-z0-9]{20,}"),
    (("pplx-",), r"pplx-[A-Za-z0-9]{20,}"),
    (("tvly-",), r"tvly-[A-Za-z0-9-]{16,}"),
    (("fc-",), r"fc-[0-9a-f]{32}"),  # Firecrawl
    (("ntn_",), r"ntn_[A-Za-z0-9]{40,}"),  # Notion
    (("secret_",), r"secret_[A-Za-z0-9]{40,}"),
    (("pat",), r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),  # Airtable
    (("npm_",), r"npm_[A-Za-z0-9]{20,}"),
    (("pypi-",), r"pypi-[A-Za-z0-9_-]{50,}"),
    (("dop_v1_",), r"dop_v1_[0-9a-f]{64}"),  # DigitalOcean
    (("shpat_",), r"shpat_[0-9a-f]{32}"),  # Shopify
    (("lin_api_",), r"lin_api_[A-Za-z0-9]{30,}"),  # Linear
    ((":aa",), r"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),  # Telegram
    (("app-", "dataset-"), r"(?:app|dataset)-[A-Za-z0-9]{24}"),  # Dify
    ((".",), r"[0-9a-f]{32}\.[A-Za-z0-9]{16}"),  # Zhipu
    (("eyj",), r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),  # a JWT
)
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
)
# A key begins where a word does; in JSON that stands in a text a `\n` may come before it.
_BEGIN, _END = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))", r"(?![A-Za-z0-9_])"
_KEY = shapes(
    *((marks, f"{_BEGIN}{pattern}{_END}") for marks, pattern in _KEYS),
    (("-----begin ",), _PRIVATE_KEY),
)
LEAST = 12  # characters of a text that holds any secret
_LEAST_OF_KEY = 20
# Addresses that open something for whoever has them; group 1 stays.
_HOOKS = (
    *("hooks.slack.com/services/", "hooks.slack.com/workflows/", "hooks.slack.com/triggers/"),
    *("open.feishu.cn/open-apis/bot/v2/hook/", "open.larksuite.com/open-apis/bot/v2/hook/"),
    *(
        "discord.com/api/webhooks/",
        "discordapp.com/api/webhooks/",
        ".webhook.office.com/webhookb2/",
    ),
)
_HOOK = shapes(
    *(((host,), rf"({re.escape(host)})(?!\(\w{{1,20}}\))[A-Za-z0-9_/@-]{{20,}}") for host in _HOOKS)
)
_ADDRESS = r"(://[^\s/:@\"'{}<>]{0,80}:)"
# Names of parameters whose value is a secret, of any length; and plain words, of a long value.
_WORDS = (
    r"(?:api[_-]?key|token|secret|passw(?:or)?d|passphrase|pwd|signature|jwt|authorization|"
    r"(?:access|private|secret|signing|auth|session|subscription)[_-]?key)"
)
_NAMED = rf"[\w.-]{{0,40}}{_WORDS}"
_PLAIN = r"(?:key|sig|sign|auth)"
# Tokens that lead through a list, and open nothing.
_OF_PAGES = r"(?!\w{0,20}[_-]?(?:page|first|stop|max)[_-]?token=)"
# A space, as it is or as it stands in JSON that stands in a text, however deep.
SPACE = r"(?:\s|\\{1,8}[nrt])"
_REST = r"[^&\s\"'<>{}()\[\],;\\…]"
# What looks like a real value: eight characters and more, a figure among them; in an address many
# letters in both cases do as well. Behind a plain word it is longer, and in code a dot leads on.
_FIGURE = rf"(?={_REST}{{0,200}}\d)"
# Parts with dots between them are a key where the first is long and has figures: no name of code.
_DOTTED = r"(?=(?:[A-Za-z_-]{0,60}\d){3})[\w-]{16,200}(?:\.[\w-]{2,200}){1,5}(?![(\[\w])"
_REAL = (
    rf"(?:{_DOTTED}|(?!\d{{1,15}}(?![\w.-]))"
    rf"{_FIGURE}(?:(?!\.){_REST}){{8,4000}}+(?![(\[\w]|\.\w))"
)
_REAL_IN_ADDRESS = (
    rf"(?:{_FIGURE}{_REST}{{8,4000}}+(?![(\[\w])|"
    r"(?=\w{0,40}[a-z][A-Z])[\w-]{20,4000}+(?![(\[.]))"
)
_LONG_IN_ADDRESS = rf"{_FIGURE}{_REST}{{20,4000}}+(?![(\[\w])"
_MARKS = (
    *("key", "token", "secret", "passw", "passphrase", "pwd", "signature", "jwt", "authorization"),
)
_OF_MACHINES = shapes(
    (
        ("bearer", "basic"),
        rf"(?i)((?:bearer|basic){SPACE}{{1,5}})(?=[\w.~+/=-]{{0,500}}[\d=])[\w.~+/=-]{{12,}}",
    ),
    (("://",), _ADDRESS + r"[^\s/:@\"'{}]{3,200}(?=@)"),
    (("?", "&"), rf"(?i)([?&]{_OF_PAGES}(?:{_NAMED}|{_PLAIN})=)[^&\s\"'{{}}<>\\]{{3,}}"),
    (("code=",), r"([?&]code=)[\w%+/=-]{40,}"),  # of a function in Azure
    # A literal that code or JSON gives to such a name.
    (
        _MARKS,
        rf"(?i)({_WORDS}[\"']?\]?\s{{0,20}}[:=]\s{{0,20}}[bru]?[\"'])"
        r"(?=[^\"'\s]{0,200}\d)[^\"'\s{}<>]{8,}(?=[\"'])",
    ),
)
_OF_PEOPLE = shapes(
    (("bearer",), rf"(?i)(bearer{SPACE}{{1,5}})(?=[\w.~+/=-]{{0,500}}\d)[\w.~+/=-]{{12,}}"),
    (
        ("authorization",),
        rf"(?i)(authorization\s{{0,5}}:\s{{0,5}}(?:basic|token|apikey){SPACE}{{1,5}})"
        r"(?=[\w.~+/=-]{0,500}[\d=])[\w.~+/=-]{6,}",
    ),
    (("://",), _ADDRESS + r"(?=[^\s/@\"'{}]{0,200}[\d!$%^*])[^\s/:@\"'{}<>]{6,200}(?=@)"),
    (("?", "&"), rf"(?i)([?&]{_OF_PAGES}{_NAMED}=){_REAL_IN_ADDRESS}"),
    (("key=", "sig=", "sign=", "auth="), rf"(?i)([?&]{_PLAIN}=){_LONG_IN_ADDRESS}"),
    (
        ("token", "api", "secret"),
        r"(?i)((?:(?<!first)(?<!page)(?<!stop)(?<!first[_-])(?<!page[_-])(?<!stop[_-])(?<!max[_-])"
        rf"token|api_?key|(?:client|app)_?secret){SPACE}?={SPACE}?){_REAL}",
    ),
)
_REFERENCE = re.compile(r"\{\{.*?\}\}|\$\{.*?\}", re.DOTALL)

# What a text has that holds any of them; for Python, DuckDB and Polars, over whole columns.
_BEGINS = (re.sub(r"\{(\d+),\}.*", r"{\1}", one) for _, one in _KEYS)
KEYS_SUSPICIOUS = (
    f"(?-i:{'|'.join(_BEGINS)}|-----BEGIN )"
    r"|hooks\.slack\.com/|/bot/v2/hook/|/api/webhooks/|/webhookb2/"
)
SUSPICIOUS = (
    KEYS_SUSPICIOUS + r"|://[^\s/:@\"'{}<>]*:[^\s/:@\"'{}]{3,}@|"
    r"[?&](?:[A-Za-z0-9_.-]*(?:secret|passw(?:or)?d|passphrase|pwd|signature|key|jwt|"
    r"authorization)|sig|sign|auth)=|(?:client|app)_?secret[ ]?=|[?&]code=[A-Za-z0-9_%+/=-]{40}"
)


def keys_replaced(text: str, replacement: str) -> str:
    """A text with this in place of each key of a provider, and of what addresses of hooks hold."""
    if len(text) < _LEAST_OF_KEY:
        return text
    lowered = text.lower()
    for shape in _KEY:
        if shape.may_be_in(lowered):
            text = shape.pattern.sub(replacement, text)
    if "hook" in lowered:
        for shape in _HOOK:
            if shape.may_be_in(lowered):
                text = shape.pattern.sub(rf"\1{replacement}", text)
    return text


def holds_key(text: str) -> bool:
    """Whether a text holds what has the shape of a provider's key."""
    return keys_replaced(text, "") != text


def text_without_keys(text: str) -> str:
    """A text that machines read, without keys and without what stands where keys do."""
    return _replaced(text, (*_OF_MACHINES, *_OF_PEOPLE))


def prose_without_keys(text: str) -> str:
    """A text that people or models wrote, without keys and without what looks like a real one."""
    return _replaced(text, _OF_PEOPLE)


def _replaced(text: str, found: Iterable[Shape]) -> str:
    text, lowered = keys_replaced(text, REMOVED), text.lower()
    for shape in found:
        if shape.may_be_in(lowered):
            text = shape.pattern.sub(_unless_named, text)
    return text


def _unless_named(found: re.Match[str]) -> str:
    """A secret behind a word: hidden, unless it only names a variable, or is hidden already."""
    rest = found[0][len(found[1]) :]
    is_hidden = rest.startswith(REMOVED) or not rest.strip("*")
    return found[0] if is_hidden or _REFERENCE.search(rest) else f"{found[1]}{REMOVED}"
