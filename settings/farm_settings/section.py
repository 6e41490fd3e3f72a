"""What all sections share: frozen, complete by their defaults, and blind to the environment."""

from typing import Any, ClassVar

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class Section(BaseSettings):
    """A group of settings that one part of the farm is given.

    `load` decides which layer each value comes from; built by hand, as in a test, a section takes what it is given and
    its defaults.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

    ascending: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of fields of which the first must be less than the second."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the signature is pydantic-settings')
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only values given count: `load` reads the environment, once, for all sections together."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_order(self) -> "Section":
        for smaller, larger in self.ascending:
            if not getattr(self, smaller) < getattr(self, larger):
                raise conflict("{first} must be less than {second}", smaller, larger)
        return self


def conflict(sentence: str, first: str, second: str) -> PydanticCustomError:
    """The error of two fields that do not fit together; `load` adds their values and where they came from."""
    context: dict[str, Any] = {"first": first, "second": second}
    return PydanticCustomError("conflict", sentence, context)
