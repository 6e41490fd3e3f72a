-- Says what an operator wants of a host.
--
-- KEYS   1 identities  2 desired
-- ARGV   1 host  2 seconds until it is forgotten, unless the host's beats renew it  3… fields, flat
-- RETURN 1 when written, 0 when there is no such host
--
-- GUARANTEE  Nothing is kept for a host that is not registered: a later one of that name would not find it.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
if redis.call('TYPE', KEYS[2]).ok ~= 'hash' then
  redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
