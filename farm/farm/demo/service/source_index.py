"""The job: reads one Python source file as a compiler does, and tells what is in it."""

import ast
import io
import tokenize
from pathlib import Path
from types import CodeType


def index(path: str) -> dict[str, int]:
    """Counts of one file: lines, tokens, nodes of its syntax tree, functions, classes, imports, bytes of bytecode."""
    source = Path(path).read_bytes()
    tree = ast.parse(source, path)
    nodes = list(ast.walk(tree))
    return {
        "lines": source.count(b"\n"),
        "tokens": sum(1 for _ in tokenize.tokenize(io.BytesIO(source).readline)),
        "nodes": len(nodes),
        "functions": sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "imports": sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes),
        "bytecode": _size(compile(tree, path, "exec", dont_inherit=True)),
    }


def _size(code: CodeType) -> int:
    return len(code.co_code) + sum(_size(inner) for inner in code.co_consts if isinstance(inner, CodeType))
