"""RQ's configuration module (`rq worker -c MODULE`), read without importing it here: it is the user's code."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import click

from farm_settings import SETTINGS

READ_TIMEOUT_SECONDS = 30

TLS_OPTIONS = ("REDIS_SSL_CA_CERTS", "REDIS_SSL_CERT_REQS", "REDIS_SSL_KEYFILE", "REDIS_SSL_CERTFILE")
"""Options that an address can carry."""

UNSUPPORTED = {
    "REDIS_SSL_CA_DATA": "certificates are read from files: use REDIS_SSL_CA_CERTS.",
    "DICT_CONFIG": "the log of a host is set by --log-level and --log-format.",
}

# Prints on a copy of stdout, so that nothing that the module prints gets in between.
_READER = """
import importlib, json, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path[:0] = json.loads(sys.argv[2])
module = importlib.import_module(sys.argv[1])
names = {name: value for name, value in vars(module).items() if name == name.upper() and not name.startswith("_")}
json.dump(names, answer, default=str)
"""


def read_config(module: str, path: tuple[str, ...]) -> dict[str, object]:
    """Settings that RQ's configuration module holds: name in lower case → value.

    `path` are the user's folders. Raises click.UsageError if the module cannot be imported or asks for what the farm
    has not.
    """
    names = _import_elsewhere(module, path)
    for name, sentence in UNSUPPORTED.items():
        if names.get(name):
            raise click.UsageError(f"{name} in the configuration module {module} is not taken: {sentence}")
    queues = names.get("QUEUES")
    values = {"redis_url": _address(names), "queues": queues, "name": names.get("NAME")}
    return {name: value for name, value in values.items() if value}


def below_the_environment(values: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    """Those values that no variable overrules: as with rq, the environment wins over the module."""
    for name, value in values.items():
        variables = (*SETTINGS[name].variables, *(("RQ_REDIS_URL",) if name == "redis_url" else ()))
        if not any(environ.get(variable) for variable in variables):
            yield name, value


def _import_elsewhere(module: str, path: tuple[str, ...]) -> dict[str, object]:
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-c", _READER, module, json.dumps(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=READ_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise click.UsageError(
            f"The configuration module {module} was not imported within {READ_TIMEOUT_SECONDS} s."
        ) from None
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        raise click.UsageError(f"The configuration module {module} cannot be imported: {reason}. See -c and -P.")
    names = json.loads(run.stdout)
    assert isinstance(names, dict)
    return names


def _address(names: Mapping[str, object]) -> str | None:
    """The address that the module's REDIS_* names stand for; None if it has none."""
    if names.get("REDIS_URL"):
        return str(names["REDIS_URL"])
    if isinstance(sentinel := names.get("SENTINEL"), dict) and sentinel:
        return _sentinel_address(sentinel)
    if not any(name in names for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD", "REDIS_SSL")):
        return None
    with_tls = str(names.get("REDIS_SSL", False)).lower() in ("y", "yes", "t", "true")
    password = names.get("REDIS_PASSWORD")
    login = f":{quote(str(password), safe='')}@" if password else ""
    server = f"{names.get('REDIS_HOST', 'localhost')}:{names.get('REDIS_PORT', 6379)}/{names.get('REDIS_DB', 0)}"
    options = {name.removeprefix("REDIS_").lower(): str(names[name]) for name in TLS_OPTIONS if names.get(name)}
    query = f"?{urlencode(options)}" if with_tls and options else ""
    return f"{'rediss' if with_tls else 'redis'}://{login}{server}{query}"


def _sentinel_address(sentinel: Mapping[str, Any]) -> str:
    """The address that RQ's dictionary SENTINEL stands for."""
    servers = ",".join(f"{host}:{port}" for host, port in sentinel.get("INSTANCES") or [("localhost", 26379)])
    login = ":".join(quote(str(sentinel.get(name) or ""), safe="") for name in ("USERNAME", "PASSWORD"))
    options = dict(sentinel.get("CONNECTION_KWARGS") or {})
    scheme = "rediss+sentinel" if options.pop("ssl", sentinel.get("SSL")) else "redis+sentinel"
    own = sentinel.get("SENTINEL_KWARGS") or {}
    query = {name: value for name, value in options.items() if name.startswith("ssl_") and value is not None}
    query |= {f"sentinel_{name}": own[name] for name in ("username", "password") if own.get(name)}
    address = f"{scheme}://{login + '@' if login != ':' else ''}{servers}/{sentinel.get('MASTER_NAME', 'mymaster')}"
    return f"{address}/{sentinel.get('DB') or 0}{'?' + urlencode(query) if query else ''}"
