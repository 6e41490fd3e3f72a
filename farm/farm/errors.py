"""Every error that the farm raises on purpose.

FarmError
├── SettingsError            a setting, flag or variable has a value that cannot be used
├── AppError                 the app module cannot be imported or used
├── RedisError
│   ├── RedisUnavailable     no answer, or the connection was refused
│   ├── RedisRefused         wrong password, missing permission, a certificate that is not trusted
│   ├── RedisFull            no memory left for what is new (maxmemory)
│   └── RedisTooOld          the server lacks commands that the farm needs
├── RedisServerError         a private Redis could not be started
├── NameInUse                a host of this name is alive elsewhere
├── HostNotFound             no such host in this Redis
├── HostFenced               this host was given up: its jobs belong to others now
├── RunnerError              there is no such runner here, or the call makes no sense
│   ├── RunnerBusy           as many calls wait as the runner allows
│   ├── RunnerTimeout        the runner did not answer in the time given
│   ├── RunnerDied           the runner died during the call, or its host is gone
│   └── RunnerFailed         the call has no result, and no error that can be raised here
└── JobError
    ├── JobNotFound          no such job in this Redis
    ├── JobFailed            the job ended without a result
    ├── JobCancelled         somebody asked for the end of the job that runs
    └── ResultTimeout        the job did not end in the time given

JobInterrupted, a BaseException, is raised in a running job whose host stops and cannot wait any longer.
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


class RedisFull(RedisError):
    """Redis has no memory left (`maxmemory`): nothing was written. Hosts go on, and so make room."""


class RedisTooOld(RedisError):
    """The server lacks commands that the farm needs."""


class RedisServerError(FarmError):
    """A private Redis could not be started."""


class NameInUse(FarmError):
    """A host of this name is alive elsewhere."""


class HostNotFound(FarmError):
    """No such host in this Redis."""


class HostFenced(FarmError):
    """This host was given up: its jobs belong to others now."""


class RunnerError(FarmError):
    """There is no such runner here, or the call makes no sense."""


class RunnerBusy(RunnerError):
    """As many calls wait as the runner allows. Nothing was done."""


class RunnerTimeout(RunnerError):
    """The runner did not answer in the time given. A call that was not begun then is not done at all."""


class RunnerDied(RunnerError):
    """The runner died during the call, or its host is gone. The call may have been done in part."""


class RunnerFailed(RunnerError):
    """The call has no result, and no error that can be raised here. The text says why."""


class JobError(FarmError):
    """Something about one job."""


class JobNotFound(JobError):
    """No such job in this Redis."""


class JobFailed(JobError):
    """The job ended without a result: failed, stopped or canceled."""


class JobCancelled(JobError):
    """Raised in a job by `raise_if_cancelled`: somebody asked for its end, and it ends as stopped."""


class JobInterrupted(BaseException):
    """Raised in a running job when its host stops and cannot wait any longer: the job goes back to its queue.

    No Exception, so that jobs which handle those let it through. Clean up in `finally`, and shortly.
    """

    def __init__(self, text: str = "the host stops and hands this job back to its queue") -> None:
        super().__init__(text)


class ResultTimeout(JobError):
    """The job did not end in the time given. It goes on."""
