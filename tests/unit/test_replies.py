"""Replies of Redis as a person, or a program, reads them."""

import json
import pickle

import pytest

from farm.cli.replies import as_json, as_text
from farm.store.console import ErrorReply, Reply


@pytest.mark.parametrize(
    ("words", "reply", "text"),
    [
        (["GET", "k"], None, "(nil)"),
        (["GET", "k"], b"", '""'),
        (["GET", "k"], "grüße".encode(), "grüße"),
        (["GET", "k"], b"two\nlines", '"two\\nlines"'),
        (["GET", "k"], b'\x00\xff"\\', '"\\x00\\xff\\"\\\\"'),
        (["GET", "k"], b"\x1b[31mred", '"\\x1b[31mred"'),
        (["LLEN", "k"], 3, "3"),
        (["LRANGE", "k", "0", "-1"], [], "(empty)"),
        (["LRANGE", "k", "0", "-1"], [b"a", b"b"], "1) a\n2) b"),
        (["X"], [b"a", [b"b", [b"c"]]], "1) a\n2) 1) b\n   2) 1) c"),
        (["HGETALL", "k"], [b"a", b"1", b"long", b"2"], "a     1\nlong  2"),
        (["HGETALL", "k"], [], "(empty)"),
        (["zrange", "k", "0", "-1", "withscores"], [b"one", b"0.25"], "one  0.25"),
        (["INFO"], b"# Server\r\na:1\r\n", "# Server\na:1"),
        (["X"], ErrorReply("WRONGTYPE no"), "(error) WRONGTYPE no"),
        (["X"], [1, ErrorReply("no")], "1) 1\n2) (error) no"),
    ],
)
def test_a_reply_is_shown_as_a_person_reads_it(words: list[str], reply: Reply, text: str) -> None:
    assert as_text(words, reply) == text


@pytest.mark.parametrize(
    ("words", "reply", "value"),
    [
        (["GET", "k"], None, None),
        (["GET", "k"], b"\xff", "\\xff"),
        (["HGETALL", "k"], [b"a", b"1"], {"a": "1"}),
        (["LRANGE", "k", "0", "-1"], [b"a", [1]], ["a", [1]]),
        (["X"], ErrorReply("no"), {"error": "no"}),
    ],
)
def test_json_holds_the_same(words: list[str], reply: Reply, value: object) -> None:
    assert json.loads(as_json(words, reply)) == value


def test_a_pickle_is_shown_and_never_loaded() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("unpickled",))

    assert as_text(["GET", "k"], pickle.dumps(Trap())).startswith('"\\x80')
