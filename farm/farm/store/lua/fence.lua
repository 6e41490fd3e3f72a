-- Gives up a host whose beat is too old: from here on it can write nothing.
--
-- KEYS   1 coordinator  2 identities  3 hosts  4 load  5 host hash  6 lost  7 events  8 rq:workers  9 RQ worker
--        10 RQ worker executions  11 receipts, then the sets of RQ workers of the host's queues
-- ARGV   1 own value  2 host  3 identity, '' for a host that has none  4 HOST_TIMEOUT seconds
-- RETURN nil to a caller that does not lead, 1 if the host was given up, 0 if it lives or is another by now
--
-- GUARANTEE  Nothing is written for a host whose beat is younger than HOST_TIMEOUT, or whose identity is not the one
--            given. What was placed on it stays listed in `lost` until it was given back. A host that has an identity
--            and no beat at all counts as too old: the caller has waited for its beat.
-- include leads
-- include clock
-- include announce
local host, identity = ARGV[2], ARGV[3]
local now, now_iso = read_clock()
local beat = tonumber(redis.call('ZSCORE', KEYS[3], host))
if (redis.call('HGET', KEYS[2], host) or '') ~= identity then
  return 0
end
if beat and now - beat < tonumber(ARGV[4]) then
  return 0
end
redis.call('ZREM', KEYS[3], host)
redis.pcall('ZREM', KEYS[4], host)
redis.call('DEL', KEYS[5])
if identity == '' then
  return 1
end
redis.call('HDEL', KEYS[2], host)
redis.call('ZADD', KEYS[6], now, host .. ':' .. identity)
if beat then
  -- For what is told of its jobs; it goes with the receipts when the last of them was given back.
  redis.pcall('HSET', KEYS[11], 'silent', string.format('%.1f', now - beat))
  redis.call('EXPIRE', KEYS[11], 86400)
end
redis.pcall('SREM', KEYS[8], KEYS[9])
for i = 12, #KEYS do
  redis.pcall('SREM', KEYS[i], KEYS[9])
end
redis.call('DEL', KEYS[9], KEYS[10])
announce(KEYS[7], now_iso, 'host.lost', 'host', host, 'identity', identity,
  'silent', beat and string.format('%.1f', now - beat) or 'always')
return 1
