-- read_clock() → seconds since 1970 (with fraction) and the same moment in ISO 8601 UTC, by Redis's clock.
-- to_iso(seconds, microseconds) → text.   from_iso(text) → seconds, or nil for text that is no time.
local function to_iso(seconds, microseconds)
  -- `x - x % n` and no `math.floor`: a server takes three times as long to call a function.
  local rest = seconds % 86400
  -- Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin in March.
  local shifted = (seconds - rest) / 86400 + 719468
  local day_of_era = shifted % 146097
  local without_leap_days = day_of_era - (day_of_era - day_of_era % 1460) / 1460
    + (day_of_era - day_of_era % 36524) / 36524 - (day_of_era - day_of_era % 146096) / 146096
  local year_of_era = (without_leap_days - without_leap_days % 365) / 365
  local day_of_year = day_of_era - 365 * year_of_era - (year_of_era - year_of_era % 4) / 4
    + (year_of_era - year_of_era % 100) / 100
  local fifths = 5 * day_of_year + 2
  local month_index = (fifths - fifths % 153) / 153
  local day = (fifths % 153 - fifths % 153 % 5) / 5 + 1
  local month = month_index < 10 and month_index + 3 or month_index - 9
  local year = year_of_era + (shifted - day_of_era) / 146097 * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day, rest / 3600, rest % 3600 / 60, rest % 60,
    microseconds)
end

local function from_iso(text)
  local year, month, day, hour, minute, second = string.match(text or '', '^(%d+)-(%d+)-(%d+)[T ](%d+):(%d+):([%d.]+)Z?')
  if not year then return nil end
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5) + tonumber(day) - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  local days = era * 146097 + day_of_era - 719468
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + (tonumber(second) or 0)
end

local function read_clock()
  local time = redis.call('TIME')
  local seconds, microseconds = tonumber(time[1]), tonumber(time[2])
  return seconds + microseconds / 1000000, to_iso(seconds, microseconds)
end
