-- quarantine(places, id, reason, now, now_iso): sets an id aside whose record cannot be read. `places` are three keys:
-- the quarantine, its reasons, the events.
local function quarantine(places, id, reason, now, now_iso)
  redis.call('ZADD', places[1], now, id)
  redis.call('HSET', places[2], id, reason)
  redis.call('XADD', places[3], 'MAXLEN', '~', 10000, '*', 'event', 'job.quarantined', 'at', now_iso,
    'job', id, 'reason', reason)
end
