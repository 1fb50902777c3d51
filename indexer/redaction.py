"""No secret in anything that leaves the process, and no foreign text as it came.

Owns what is secret in a URL and the secrets this process was given (``remember``), as others quote them:
Postgres its URL, a node the key it was called with, a proxy its password.
What is not known to be harmless counts as secret: a name lost from a log line costs less than a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, unquote_plus, urlsplit

HIDDEN = "***"
SHORTEST = 4
"""Letters from which a secret is looked for in any text: a shorter one would be found everywhere, and is none."""

_POSTGRES = frozenset({"postgresql", "postgres"})
_HARMLESS_OPTIONS = frozenset(
    {"sslmode", "host", "port", "dbname", "application_name", "target_session_attrs", "connect_timeout"}
)
_HARMLESS_SEGMENT = re.compile(
    r"(?i)v\d{1,3}|wss?|rpc|api|public|archive|full|lite|mainnet|testnet|finney|test|bittensor|subtensor|\*\*\*|"
)
"""What a path may hold beside a key."""
_HARMLESS_WORD = re.compile(r"[\w-]{1,20}|[\w.-]{1,60}:\d{1,5}|")
"""A network's name, or host:port without the scheme: what a person may have meant, and wants to see."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_BARE_PASSWORD = re.compile(r"[^\s/@:'\"(]+:[^\s/@'\"]+@(?=[\w.\[-])")

_known: set[str] = set()


def remember(*urls: str) -> None:
    """Take the secrets of ``urls`` (of a text that is no URL: itself) out of every text from now on."""
    for url in urls:
        found = secrets_in(url) if "://" in url else {url}
        _known.update(form for secret in found if len(secret) >= SHORTEST for form in _forms(secret))


def redact(url: str) -> str:
    """``url`` as it may be shown: without password, and without what may be a key in user, path or query."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return url if _HARMLESS_WORD.fullmatch(url) else HIDDEN
    if _is_torn(url):
        return f"{scheme}://{HIDDEN}"
    is_postgres = scheme.lower() in _POSTGRES
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    shown_user = f"{user}{f':{HIDDEN}' if colon else ''}" if is_postgres else HIDDEN if at else ""
    path = parts.path if is_postgres else "/".join(map(_segment, parts.path.split("/")))
    query = "&".join(_option(option, is_postgres) for option in parts.query.split("&")) if parts.query else ""
    return f"{scheme}://{shown_user}{at}{hosts}{path}{'?' if query else ''}{query}"


def shown_names(urls: Iterable[str]) -> dict[str, str]:
    """What to call each of several endpoints: as ``redact``, and numbered where two would be called the same."""
    shown = {url: redact(url) for url in urls}
    names = list(shown.values())
    return {
        url: f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, (url, name) in enumerate(shown.items())
    }


def secrets_in(url: str) -> set[str]:
    """Everything that ``redact`` takes out of ``url``, as it stands there and decoded."""
    scheme, _, rest = url.partition("://")
    if _is_torn(url):
        found = [rest.rpartition("@")[0], *re.split(r"[:/?#@&=]", rest.rpartition("@")[0] or rest)]
    else:
        found = list(_secrets(urlsplit(url), scheme.lower() in _POSTGRES))
    return {form for part in found for form in (part, unquote(part), unquote_plus(part)) if form}


def hide(text: str, *urls: str) -> str:
    """``text`` without the secrets of this process and of ``urls``, and with every URL in it redacted."""
    given = {form for url in urls for secret in secrets_in(url) if len(secret) >= SHORTEST for form in _forms(secret)}
    for secret in sorted(_known | given, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _BARE_PASSWORD.sub(f"{HIDDEN}@", _URL.sub(lambda match: redact(match[0]), text))


def foreign(text: str, *urls: str) -> str:
    """A text from outside as it may be shown in one line: without secrets, and without what steers a terminal."""
    return printable(" ".join(hide(text, *urls).split()))


def quoted(value: object, *urls: str) -> str:
    """The beginning of something that came instead of what was asked, as it may be shown."""
    try:
        return foreign(f"{value!r:.2000}", *urls)[:60]
    except RecursionError:
        return "something deeply nested"


def printable(text: str) -> str:
    """``text`` with a sign for each character that has none: NUL, escapes, halves of UTF-16 pairs."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _is_torn(url: str) -> bool:
    """Whether a password's own ``/``, ``?``, ``#`` or ``@`` may have cut the URL in the wrong place."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return "@" in parts.path + parts.query + parts.fragment


def _segment(segment: str) -> str:
    return segment if _HARMLESS_SEGMENT.fullmatch(segment) else HIDDEN


def _option(option: str, is_postgres: bool) -> str:
    name, equals, _ = option.partition("=")
    if is_postgres and name in _HARMLESS_OPTIONS:
        return option
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _secrets(parts: object, is_postgres: bool) -> Iterator[str]:
    netloc, path, query, fragment = (getattr(parts, name) for name in ("netloc", "path", "query", "fragment"))
    userinfo = netloc.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    yield password
    if not is_postgres:
        yield from (userinfo, user, fragment)
        yield from (segment for segment in path.split("/") if _segment(segment) == HIDDEN)
    for option in query.split("&"):
        name, equals, value = option.partition("=")
        if _option(option, is_postgres) != option:
            yield value if equals else name


def _forms(secret: str) -> set[str]:
    """A secret as texts quote it."""
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
