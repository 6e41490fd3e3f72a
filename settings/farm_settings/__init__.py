"""Settings of the farm: frozen sections, and `load`, which builds them from flags, environment, app and defaults."""

from farm_settings.admission import AdmissionSettings as AdmissionSettings
from farm_settings.catalogue import SETTINGS as SETTINGS
from farm_settings.catalogue import Setting as Setting
from farm_settings.errors import InvalidSetting as InvalidSetting
from farm_settings.errors import Origin as Origin
from farm_settings.errors import show as show
from farm_settings.farm import JobSettings as JobSettings
from farm_settings.farm import LeaseSettings as LeaseSettings
from farm_settings.host import HostSettings as HostSettings
from farm_settings.logs import LogSettings as LogSettings
from farm_settings.pool import PoolSettings as PoolSettings
from farm_settings.redis import RedisSettings as RedisSettings
from farm_settings.settings import Settings as Settings
from farm_settings.settings import load as load
from farm_settings.values import hide_password as hide_password
