-- Ends a host's registration at its clean stop.
--
-- KEYS   1 identities  2 hosts  3 host hash  4 load  5 lost  6 inbox  7 running  8 receipts  9 events
--        10 coordinator's bell  11 processes  12 desired
-- ARGV   1 host  2 identity  3 now, ISO 8601
-- RETURN 1 when left, 0 when this identity was not current
--
-- GUARANTEE  Jobs that the host still held are not forgotten: its identity goes to `lost` and they are given back.
-- include announce
-- include forget_desired
local host, identity = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return 0
end
redis.call('HDEL', KEYS[1], host)
redis.call('ZREM', KEYS[2], host)
redis.call('DEL', KEYS[3], KEYS[11])
forget_desired(KEYS[12])
redis.call('ZREM', KEYS[4], host)
if redis.call('LLEN', KEYS[6]) + redis.call('HLEN', KEYS[7]) > 0 then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[5], time[1], host .. ':' .. identity)
  redis.call('LPUSH', KEYS[10], '1')
  redis.call('LTRIM', KEYS[10], 0, 0)
else
  redis.call('DEL', KEYS[8])
end
announce(KEYS[9], ARGV[3], 'host.left', 'host', host, 'identity', identity)
return 1
