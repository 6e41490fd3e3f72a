"""The hooks process: what the app declares, its load function, and what becomes of both when user code breaks."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from farm.errors import AppError
from farm_settings import Settings, load
from farm_worker.hooks import Hooks

FACTS = {"cpu": 0.25, "busy": 3}
Use = Callable[[Hooks], Awaitable[Any]]


@pytest.fixture
def use(user_folder: Path) -> Callable[[str, Use], Any]:
    """Runs something with the hooks of an app of this text."""

    def run(text: str, function: Use, **settings: object) -> Any:
        (user_folder / "hooked.py").write_text(f"import asyncio, math, os, signal, sys, time\nimport farm\n{text}")

        async def main() -> Any:
            hooks = await Hooks.start(_settings(user_folder, **settings), dict(os.environ))
            try:
                return await function(hooks)
            finally:
                await hooks.close()

        return asyncio.run(main())

    return run


def _settings(folder: Path, **settings: object) -> Settings:
    return load({"app": "hooked", "path": str(folder), **settings}, environ={})


def loads(body: str) -> str:
    return f"app = farm.App()\n@app.load\n{body}\n"


async def ask(hooks: Hooks) -> Any:
    return await hooks.load(FACTS, timeout=10)


def test_what_the_app_declares_is_told(use: Callable[..., Any]) -> None:
    async def described(hooks: Hooks) -> Any:
        return hooks.app

    app = use(
        "app = farm.App(processes=3, queues=('a', 'b'), exit_when_idle='5m')\napp.queue('calls', on_lost='fail')\n",
        described,
    )
    assert app.options == {"processes": 3, "queues": ["a", "b"], "exit_when_idle": "5m"}
    assert app.queues == {"calls": {"on_lost": "fail"}}
    assert not app.has_load


def test_without_a_load_function_no_process_stays(use: Callable[..., Any]) -> None:
    async def asked(hooks: Hooks) -> Any:
        return hooks.pid, await ask(hooks), psutil.Process().children()

    before = psutil.Process().children()
    pid, answer, children = use("app = farm.App()\n", asked)

    assert (pid, answer.value, answer.error) == (None, None, "the app has no load function")
    assert children == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def load(): return 0.5", 0.5),
        ("def load(host): return max(host.cpu, host.busy / 24)", 0.25),
        ("async def load(host):\n    await asyncio.sleep(0)\n    return host.cpu", 0.25),
        ("def load(): return 1", 1.0),
        ("def load(): return 0", 0.0),
    ],
)
def test_the_load_is_what_the_function_returns(use: Callable[..., Any], body: str, expected: float) -> None:
    answer = use(loads(body), ask)
    assert (answer.value, answer.error) == (expected, "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def load(): return math.nan", "returned nan; it must return 0 to 1"),
        ("def load(): return 1.5", "returned 1.5; it must return 0 to 1"),
        ("def load(): return -0.1", "returned -0.1; it must return 0 to 1"),
        ("def load(): return None", "returned None, which is no number"),
        ("def load(): return 'high'", "returned 'high', which is no number"),
        ("def load(): return True", "returned True, which is no number"),
        ("def load(host): return host.no_such_fact", "raised AttributeError"),
        ("async def load(): raise OSError('no meter')", "raised OSError: no meter"),
        ("def load(): sys.exit(3)", "raised SystemExit: 3"),
    ],
)
def test_what_is_no_load_is_an_error_that_names_the_function(use: Callable[..., Any], body: str, expected: str) -> None:
    answer = use(loads(body), ask)
    assert answer.value is None
    assert answer.error.startswith("load function hooked.load ")
    assert expected in answer.error


def test_an_error_of_one_call_does_not_last(use: Callable[..., Any]) -> None:
    async def twice(hooks: Hooks) -> Any:
        return [await ask(hooks), await ask(hooks)], hooks.pid

    text = "calls = []\n" + loads("def load():\n    calls.append(1)\n    return 0.5 if len(calls) > 1 else 1 / 0")
    answers, _ = use(text, twice)
    assert [answer.value for answer in answers] == [None, 0.5]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("time.sleep(3600)", "did not answer within"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); time.sleep(3600)", "did not answer within"),
        ("os.kill(os.getpid(), 11)", "ended: killed by signal 11"),
        ("os._exit(4)", "ended: exit code 4"),
    ],
)
def test_a_process_that_hangs_or_dies_is_replaced(
    use: Callable[..., Any], user_folder: Path, body: str, expected: str
) -> None:
    async def until_well(hooks: Hooks) -> Any:
        first_pid = hooks.pid
        first = await hooks.load(FACTS, timeout=1)
        while (answer := await ask(hooks)).value is None:
            assert "starting anew" in answer.error
            await asyncio.sleep(0.02)
        assert first_pid is not None
        assert not psutil.pid_exists(first_pid)
        assert hooks.pid != first_pid
        return first, answer

    flag = user_folder / "broke"
    once = f"if os.path.exists({str(flag)!r}): return 0.5\n    open({str(flag)!r}, 'w').close()"
    text = loads(f"def load():\n    {once}\n    {body}")
    first, answer = use(text, until_well)
    assert expected in first.error
    assert answer.value == 0.5


def test_an_app_that_breaks_later_is_tried_again_until_it_works(use: Callable[..., Any], user_folder: Path) -> None:
    async def broken_then_mended(hooks: Hooks) -> Any:
        good = (user_folder / "hooked.py").read_text()
        (user_folder / "hooked.py").write_text("1 / 0\n")
        await ask(hooks)
        while "ZeroDivisionError" not in (await ask(hooks)).error:
            await asyncio.sleep(0.02)
        (user_folder / "hooked.py").write_text(good.replace("os._exit(1)", "return 0.5"))
        while (answer := await ask(hooks)).value is None:
            await asyncio.sleep(0.02)
        return answer

    assert use(loads("def load(): os._exit(1)"), broken_then_mended).value == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0\n", "importing 'hooked' raised ZeroDivisionError"),
        ("value = 1\n", "module 'hooked' has no App"),
        ("os._exit(6)\n", "ended: exit code 6"),
        ("app = farm.App(labels={object()})\n", "TypeError"),
    ],
)
def test_an_app_that_cannot_be_used_is_an_error_at_the_start(use: Callable[..., Any], text: str, expected: str) -> None:
    with pytest.raises(AppError) as caught:
        use(text, ask)
    assert expected in str(caught.value)


def test_an_import_that_takes_too_long_is_an_error_at_the_start(use: Callable[..., Any]) -> None:
    with pytest.raises(AppError, match="'hooked' was not imported within 1 s"):
        use("time.sleep(3600)\n", ask, initialize_timeout=1)
