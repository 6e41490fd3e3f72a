"""Where Redis is and how keys begin."""

from pydantic import Field, model_validator

from farm_settings.section import Section, conflict
from farm_settings.values import Address, Prefix


class RedisSettings(Section):
    """Which Redis, and the prefixes of its keys."""

    url: Address = Field(default=None, description="Redis to use. Without it RQ_REDIS_URL, then a running `farm up`")
    prefix: Prefix = Field(default="farm", description="beginning of all keys of the farm")
    rq_prefix: Prefix = Field(default="rq", description="beginning of RQ's keys: RQ's own variable RQ_KEY_PREFIX")

    @model_validator(mode="after")
    def _check_prefixes(self) -> "RedisSettings":
        if self.prefix == self.rq_prefix:
            raise conflict("{first} must not be the same as {second}", "prefix", "rq_prefix")
        return self
