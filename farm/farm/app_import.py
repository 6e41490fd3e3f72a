"""How a process finds the App that it is to serve, and says why it cannot."""

import importlib
import sys
from types import ModuleType

from farm.app import App, importing, nearest
from farm.errors import AppError


def import_app(name: str) -> App:
    """The App of `module` or `module:name`. Raises AppError; what the module itself raised is its cause."""
    module_name, _, attribute = name.partition(":")
    importing.append(module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise AppError(_import_failed(module_name, error)) from error
        raise AppError(
            f"app {name!r}: there is no module {error.name!r}. Looked in: {', '.join(sys.path) or 'nothing'}. "
            "Start in the folder that holds it, or add that to FARM_PATH."
        ) from None
    except AppError:
        raise
    except (Exception, SystemExit) as error:
        raise AppError(_import_failed(module_name, error)) from error
    finally:
        importing.pop()
    return _named_app(module, attribute) if attribute else _only_app(module)


def _import_failed(module: str, error: BaseException) -> str:
    return f"importing {module!r} raised {type(error).__name__}: {error}"


def _named_app(module: ModuleType, attribute: str) -> App:
    try:
        app = getattr(module, attribute)
    except AttributeError:
        near = nearest(attribute, vars(module))
        raise AppError(f"module {module.__name__!r} has nothing called {attribute!r}.{near}") from None
    if not isinstance(app, App):
        raise AppError(f"{module.__name__}:{attribute} is of type {type(app).__name__}, not a farm.App.")
    return app


def _only_app(module: ModuleType) -> App:
    apps = {id(value): (name, value) for name, value in reversed(vars(module).items()) if isinstance(value, App)}
    if not apps:
        raise AppError(f"module {module.__name__!r} has no App. Make one: `app = farm.App()`.")
    if len(apps) > 1:
        names = sorted(name for name, _ in apps.values())
        example = f"{module.__name__}:{names[0]}"
        raise AppError(f"module {module.__name__!r} has several Apps: {', '.join(names)}. Name one, as in {example}.")
    return next(app for _, app in apps.values())
