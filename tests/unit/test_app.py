"""What an App declares, and how it is found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import farm
from farm import app as app_module
from farm.app import App, takes_argument
from farm.app_import import import_app
from farm.app_settings import AppSettings
from farm.errors import AppError
from farm_settings import SETTINGS


@pytest.fixture
def importable(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(user_folder))
    yield user_folder
    for name in set(sys.modules) - before:
        if str(user_folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


class TestSettings:
    def test_an_app_takes_exactly_the_settings_there_are(self) -> None:
        assert AppSettings.__annotations__.keys() == SETTINGS.keys()

    def test_settings_are_kept_as_given(self) -> None:
        assert App(processes=3, threshold=0.5).settings == {"processes": 3, "threshold": 0.5}

    def test_an_unknown_setting_names_the_nearest_one(self) -> None:
        with pytest.raises(AppError, match=r"idle_process=.*Did you mean 'idle_processes'"):
            App(idle_process=3)  # type: ignore[call-arg]

    def test_it_is_what_import_farm_offers(self) -> None:
        assert farm.App is App

    def test_importing_it_does_not_read_settings(self) -> None:
        code = "import farm; farm.App(); import sys; print(sorted({'pydantic', 'redis', 'rq'} & sys.modules.keys()))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        assert seen.stdout.strip() == "[]"


class TestQueues:
    def test_options_of_a_queue_are_kept(self) -> None:
        app = App()
        app.queue("calls", on_lost="fail")
        app.queue("mail")
        assert app.queues == {"calls": {"on_lost": "fail"}, "mail": {}}

    def test_a_wrong_value_is_refused(self) -> None:
        with pytest.raises(AppError, match="on_lost is 'rerun' or 'fail'"):
            App().queue("calls", on_lost="ignore")  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["", "  ", None, 3])
    def test_a_queue_has_a_name(self, name: object) -> None:
        with pytest.raises(AppError, match="named by a text"):
            App().queue(name)  # type: ignore[arg-type]

    def test_a_queue_is_declared_once(self) -> None:
        app = App()
        app.queue("calls")
        with pytest.raises(AppError, match="declared before"):
            app.queue("calls")

    def test_what_jobs_of_a_queue_require_is_checked_and_kept(self) -> None:
        app = App()
        app.queue("calls", requires=["gpu", "eu", "gpu"], memory_mb=4096)
        app.queue("plain")
        assert app.queues == {"calls": {"requires": ["eu", "gpu"], "memory_mb": 4096}, "plain": {}}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"requires": "gpu"}, "give a list of labels"),
            ({"requires": ["g pu"]}, "'g pu' is no label"),
            ({"requires": [7]}, "7 is no label"),
            ({"memory_mb": 0}, "whole number of megabytes above 0"),
            ({"memory_mb": 1.5}, "whole number of megabytes above 0"),
            ({"memory_mb": True}, "whole number of megabytes above 0"),
        ],
    )
    def test_requirements_that_make_no_sense_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(AppError, match=message) as caught:
            App().queue("calls", **options)
        assert "app.queue('calls')" in str(caught.value)


class TestHooks:
    def test_hooks_are_kept_in_order_and_stay_functions(self) -> None:
        app = App()

        @app.prewarm
        def first() -> None: ...

        @app.prewarm
        async def second(process: object) -> None: ...

        @app.load
        def load() -> float:
            return 0.5

        assert app.prewarm_hooks == [first, second]
        assert app.load_hook is load
        assert load() == 0.5

    def test_there_is_one_load_function(self) -> None:
        app = App()
        app.load(lambda: 0)
        with pytest.raises(AppError, match="can be only one"):
            app.load(lambda: 1)

    def test_a_hook_with_two_arguments_is_refused(self) -> None:
        with pytest.raises(AppError, match="must take no argument or one"):
            App().prewarm(lambda first, second: None)

    def test_the_accept_function_takes_the_job_and_maybe_the_host(self) -> None:
        for function in (lambda job: True, lambda job, host: True, lambda *all_: True, lambda job, host=None: True):
            App().accept(function)
        for function in (lambda: True, lambda one, two, three: True):
            with pytest.raises(AppError, match="must take one argument or two"):
                App().accept(function)

    def test_there_is_one_accept_function(self) -> None:
        app = App()
        app.accept(lambda job: True)
        with pytest.raises(AppError, match="can be only one"):
            app.accept(lambda job: True)

    def test_a_hook_must_be_a_function(self) -> None:
        with pytest.raises(AppError, match="goes on a function"):
            App().load(3)  # type: ignore[type-var]

    @pytest.mark.parametrize(
        ("function", "takes"),
        [
            (lambda: 0, False),
            (lambda one: 0, True),
            (lambda one=1: 0, True),
            (lambda *all_: 0, True),
            (lambda **all_: 0, False),
        ],
    )
    def test_it_is_known_whether_a_hook_wants_its_argument(self, function: object, takes: bool) -> None:
        assert takes_argument(function) is takes  # type: ignore[arg-type]


class TestImport:
    def test_the_only_app_of_a_module_is_found(self, importable: Path) -> None:
        (importable / "one.py").write_text("import farm\nanything = farm.App(processes=2)\nalias = anything\n")
        assert import_app("one").settings == {"processes": 2}

    def test_one_of_several_is_found_by_name(self, importable: Path) -> None:
        (importable / "two.py").write_text("import farm\na = farm.App(processes=1)\nb = farm.App(processes=2)\n")
        assert import_app("two:b").settings == {"processes": 2}
        with pytest.raises(AppError, match="several Apps: a, b"):
            import_app("two")

    def test_a_module_in_a_package_is_found(self, importable: Path) -> None:
        (importable / "package").mkdir()
        (importable / "package" / "calls.py").write_text("import farm\napp = farm.App()\n")
        assert isinstance(import_app("package.calls"), App)
        with pytest.raises(AppError, match=r"no module 'package\.other'"):
            import_app("package.other")

    def test_a_missing_module_says_where_was_looked(self, importable: Path) -> None:
        with pytest.raises(AppError, match="no module 'nowhere'") as caught:
            import_app("nowhere")
        assert str(importable) in str(caught.value)

    def test_a_missing_name_names_the_nearest_one(self, importable: Path) -> None:
        (importable / "near.py").write_text("import farm\ncalls = farm.App()\nnumber = 3\n")
        with pytest.raises(AppError, match=r"nothing called 'call'\. Did you mean 'calls'"):
            import_app("near:call")
        with pytest.raises(AppError, match=r"near:number is of type int, not a farm\.App"):
            import_app("near:number")

    def test_what_the_module_raises_is_told_and_kept(self, importable: Path) -> None:
        (importable / "raising.py").write_text("raise KeyError('colour')\n")
        with pytest.raises(AppError, match="importing 'raising' raised KeyError: 'colour'") as caught:
            import_app("raising")
        assert isinstance(caught.value.__cause__, KeyError)

    def test_a_missing_dependency_is_not_taken_for_a_missing_app(self, importable: Path) -> None:
        (importable / "needy.py").write_text("import not_there\n")
        with pytest.raises(AppError, match="importing 'needy' raised ModuleNotFoundError: No module named 'not_there'"):
            import_app("needy")


class TestRun:
    @pytest.fixture
    def executed(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        commands: list[list[str]] = []
        monkeypatch.setattr(app_module.os, "execv", lambda _, command: commands.append(command))
        return commands

    def test_a_program_becomes_a_host_with_its_own_module_as_the_app(
        self, user_folder: Path, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("FARM_PATH", raising=False)
        monkeypatch.setenv("PYTHONPATH", "/first:/second")
        program = user_folder / "calls.py"
        code = compile("app = App()\napp.run(['--burst'])\n", str(program), "exec")
        exec(code, {"__name__": "__main__", "__file__": str(program), "__spec__": None, "App": App})
        folders = [str(user_folder), os.getcwd(), "/first", "/second"]
        paths = [argument for folder in folders for argument in ("--path", folder)]
        assert executed[0][1:] == ["-P", "-m", "farm", "worker", "--app", "calls", *paths, "--burst"]

    def test_an_app_of_another_module_is_named_by_it(self, importable: Path, executed: list[list[str]]) -> None:
        (importable / "elsewhere.py").write_text("import farm\napp = farm.App()\n")
        import_app("elsewhere").run([])
        assert executed[0][6] == "elsewhere"

    def test_it_is_refused_while_the_app_is_imported(self, importable: Path, executed: list[list[str]]) -> None:
        (importable / "unguarded.py").write_text("import farm\napp = farm.App()\napp.run()\n")
        with pytest.raises(AppError, match='Put it under `if __name__ == "__main__":`'):
            import_app("unguarded")
        assert executed == []
