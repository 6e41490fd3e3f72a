-- quarantine(places, id, reason, now, now_iso): sets an id aside whose record cannot be read. `places` are three keys:
-- the quarantine, its reasons, the events. It never raises: its caller has taken the id from where it was.
local function quarantine(places, id, reason, now, now_iso)
  redis.pcall('ZADD', places[1], now, id)
  redis.pcall('HSET', places[2], id, reason)
  redis.pcall('XADD', places[3], 'MAXLEN', '~', 10000, '*', 'event', 'job.quarantined', 'at', now_iso,
    'job', id, 'reason', reason)
end
