"""What is secret in a URL is not shown: not by the URL, and not by a text that quotes it or a part of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.redaction import HIDDEN, hide, quoted, redact, remember


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:s%40cret@h1:1,h2:2/d?sslmode=require", "postgresql://u:***@h1:1,h2:2/d?sslmode=require"),
        ("postgresql://h/d?user=u&password=secret", "postgresql://h/d?user=***&password=***"),
        ("postgresql://u@h/d?sslpassword=secret&sslmode=require", "postgresql://u@h/d?sslpassword=***&sslmode=require"),
        ("postgresql://u:se/cret@h/d", "postgresql://***"),
        ("postgresql://u:se?cret@h/d", "postgresql://***"),
        ("postgresql://u:se@cr/et@h/d", "postgresql://***"),
        ("postgresql://u:secret@[h/d", "postgresql://***"),
        ("wss://node.example/?api_key=secret", "wss://node.example/?api_key=***"),
        ("wss://node.example/?secret", "wss://node.example/?***"),
        ("wss://node.example/v1/0123456789abcdef0123secret", "wss://node.example/v1/***"),
        ("wss://node.example/v2/key7/ws", "wss://node.example/v2/***/ws"),
        ("wss://token@node.example", "wss://***@node.example"),
        ("wss://user:token@node.example", "wss://***@node.example"),
        ("ws://127.0.0.1:9944", "ws://127.0.0.1:9944"),
        ("wss://archive.chain.opentensor.ai:443", "wss://archive.chain.opentensor.ai:443"),
        ("finney", "finney"),
        ("localhost:9944", "localhost:9944"),
        ("u:secret@h/d", "***"),
        ("node.example/v2/key7", "***"),
    ],
)
def test_secrets_in_urls_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("invalid key key-77", "wss://h/v2/key-77"),
        ("cannot follow redirect to non-secure URI ws://other/v2/key-77", "wss://h/"),
        ("quota of key-77 is used up", "wss://key-77@h/"),
        ("no such token: key 77", "wss://h/?token=key%2077"),
        ("GET /?token=key%2077 HTTP/1.1", "wss://h/?token=key%2077"),
        ('{"error": "p\\"wd77 is wrong"}', 'postgresql://u:p"wd77@h/d'),
        ("invalid literal for int() with base 10: 'key-77'", "postgresql://u:key-77/x@h/d"),
        ("http://u:key-77@proxy:3128 isn't a valid proxy", "wss://h/"),
        ("u:key-77@proxy:3128 isn't a valid proxy", "wss://h/"),
    ],
)
def test_a_foreign_text_loses_what_it_quotes(text: str, url: str) -> None:
    shown = hide(text, url)
    assert HIDDEN in shown
    assert "77" not in shown


def test_what_is_remembered_is_hidden_in_every_text() -> None:
    remember("postgresql://u:remembered%2Fone@h/d", "remembered-two", "", "abc")
    assert hide("a remembered%2Fone, a remembered/one, a remembered-two, an abc") == "a ***, a ***, a ***, an abc"


def test_what_is_quoted_is_short_however_deep_it_is_nested() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert len(quoted(nested)) <= 60
    assert quoted(["\x1b", "wss://h/v2/key-77"]) == "['\\x1b', 'wss://h/v2/***']"


SECRET = st.text(st.sampled_from("QZXqzx079-_.!$^*~"), min_size=8)


@given(secret=SECRET, kind=st.integers(0, 5))
def test_no_place_of_a_url_lets_a_secret_through(secret: str, kind: int) -> None:
    url = (
        f"postgresql://user:{secret}@host:5432/data?sslmode=require",
        f"postgresql://host/data?password={secret}",
        f"wss://{secret}@host/",
        f"wss://host/v2/{secret}/ws",
        f"wss://host?apikey={secret}&x",
        f"wss://host/?{secret}",
    )[kind]
    for text in (redact(url), hide(f"{secret} of {url}", url), hide(json.dumps([secret]), url)):
        assert secret not in text
