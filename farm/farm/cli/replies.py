"""Replies of Redis as a person reads them, or as JSON. Bytes are shown, never interpreted: nothing is unpickled."""

import json
from collections.abc import Sequence

from farm.store.console import ErrorReply, Reply

_PAIRS = frozenset({"HGETALL", "CONFIG"})
_LINES = frozenset({"INFO", "CLIENT", "CLUSTER", "LATENCY", "LOLWUT", "MEMORY"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def as_text(words: Sequence[str], reply: Reply) -> str:
    """Hashes and scores as `field  value`, lists numbered, text with unprintable bytes quoted and escaped."""
    if _is_pairs(words, reply):
        rows = [(_scalar(field), _nested(value, "")) for field, value in _pairs(reply)]
        width = max(len(field) for field, _ in rows)
        return "\n".join(f"{field:<{width}}  {value}" for field, value in rows)
    if isinstance(reply, bytes) and words[0].upper() in _LINES:
        lines = reply.decode("utf-8", "backslashreplace").rstrip().splitlines()
        return "\n".join(line if line.isprintable() else _scalar(line.encode()) for line in lines)
    return _nested(reply, "")


def as_json(words: Sequence[str], reply: Reply) -> str:
    """One line of JSON: pairs as an object, text that is not UTF-8 escaped, an error as `{"error": ...}`."""
    if _is_pairs(words, reply):
        return json.dumps({_plain(field): _value(value) for field, value in _pairs(reply)}, ensure_ascii=False)
    return json.dumps(_value(reply), ensure_ascii=False)


def _is_pairs(words: Sequence[str], reply: Reply) -> bool:
    upper = [word.upper() for word in words]
    expected = (upper[0] in _PAIRS and upper[:2] != ["CONFIG", "HELP"]) or "WITHSCORES" in upper[1:]
    return expected and isinstance(reply, list) and len(reply) > 0 and len(reply) % 2 == 0 and _is_flat(reply)


def _is_flat(reply: list[Reply]) -> bool:
    return all(isinstance(item, bytes | int) for item in reply)


def _pairs(reply: Reply) -> list[tuple[Reply, Reply]]:
    assert isinstance(reply, list)
    return list(zip(reply[::2], reply[1::2], strict=True))


def _nested(reply: Reply, indentation: str) -> str:
    if not isinstance(reply, list):
        return _scalar(reply)
    if not reply:
        return "(empty)"
    width = len(str(len(reply)))
    deeper = indentation + " " * (width + 2)
    items = [f"{number:>{width}}) {_nested(item, deeper)}" for number, item in enumerate(reply, 1)]
    return f"\n{indentation}".join(items)


def _scalar(reply: Reply) -> str:
    if reply is None:
        return "(nil)"
    if isinstance(reply, ErrorReply):
        return f"(error) {_plain(reply.text.encode())}"
    if not isinstance(reply, bytes):
        return str(reply)
    try:
        text = reply.decode()
        if text and text.isprintable():
            return text
    except UnicodeDecodeError:
        pass
    return f'"{_escaped(reply)}"'


def _escaped(data: bytes) -> str:
    """Printable text as it is, all else in backslashes."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(_ESCAPES.get(character) or _escaped_character(character) for character in text)


def _escaped_character(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _plain(reply: Reply) -> str:
    """Text of a reply; bytes that are not UTF-8 in backslashes."""
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else str(reply)


def _value(reply: Reply) -> object:
    if isinstance(reply, list):
        return [_value(item) for item in reply]
    if isinstance(reply, ErrorReply):
        return {"error": reply.text}
    return _plain(reply) if isinstance(reply, bytes) else reply
