"""Every error that the farm raises on purpose.

FarmError
├── SettingsError            a setting, flag or variable has a value that cannot be used
├── AppError                 the app module cannot be imported or used
├── RedisError
│   ├── RedisUnavailable     no answer, or the connection was refused
│   ├── RedisRefused         wrong password, missing permission
│   └── RedisTooOld          the server lacks commands that the farm needs
├── RedisServerError         a private Redis could not be started
├── NameInUse                a host of this name is alive elsewhere
├── HostFenced               this host was given up: its jobs belong to others now
└── JobError
    ├── JobNotFound          no such job in this Redis
    ├── JobFailed            the job ended without a result
    └── ResultTimeout        the job did not end in the time given
"""


class FarmError(Exception):
    """Base of all errors of the farm. The text says what happened, to what, and what to do."""


class SettingsError(FarmError):
    """A setting has a value that cannot be used."""


class AppError(FarmError):
    """The app module cannot be imported or used."""


class RedisError(FarmError):
    """Redis cannot be used."""


class RedisUnavailable(RedisError):
    """Redis does not answer."""


class RedisRefused(RedisError):
    """Redis answered, and refused the connection."""


class RedisTooOld(RedisError):
    """The server lacks commands that the farm needs."""


class RedisServerError(FarmError):
    """A private Redis could not be started."""


class NameInUse(FarmError):
    """A host of this name is alive elsewhere."""


class HostFenced(FarmError):
    """This host was given up: its jobs belong to others now."""


class JobError(FarmError):
    """Something about one job."""


class JobNotFound(JobError):
    """No such job in this Redis."""


class JobFailed(JobError):
    """The job ended without a result: failed, stopped or canceled."""


class ResultTimeout(JobError):
    """The job did not end in the time given. It goes on."""
