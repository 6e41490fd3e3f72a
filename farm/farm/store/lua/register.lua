-- Registers a host under its name and gives it a new identity: the right to hold leases.
--
-- KEYS   1 identities  2 epochs  3 hosts  4 host hash  5 load  6 lost  7 events  8 processes  9 desired
-- ARGV   1 host  2 random part of the identity  3 HOST_TIMEOUT seconds  4 pid of a registration known to be dead, or ''
--        5 now, ISO 8601  6 1 if the host lives on and was only given up, else 0
-- RETURN {'registered', identity}; again the same one to the caller whose random part it has, whose reply was lost; or
--         {'in use', pid, hostname, boot id, pid namespace, seconds since its last beat}
--
-- GUARANTEE  A name has one identity at a time, and a number is never given twice. An older identity that is dead goes
--            to `lost` in the same step, so that its jobs are given back. One that is alive is left alone. What operators
--            wanted of a host of this name before is forgotten, unless it is the same one; a drain that is to last is not.
-- include announce
-- include forget_desired
local host = ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local old = redis.call('HGET', KEYS[1], host)
if old and string.match(old, '^%d+%-(.*)$') == ARGV[2] then
  return { 'registered', old }
end
if old then
  local age = now - (tonumber(redis.call('ZSCORE', KEYS[3], host)) or 0)
  local published = redis.call('HMGET', KEYS[4], 'pid', 'hostname', 'boot_id', 'pid_namespace')
  local is_dead = ARGV[4] ~= '' and published[1] == ARGV[4]
  if age < tonumber(ARGV[3]) and not is_dead then
    return { 'in use', published[1] or '', published[2] or '', published[3] or '', published[4] or '', tostring(age) }
  end
  redis.call('ZADD', KEYS[6], now, host .. ':' .. old)
end

local identity = redis.call('HINCRBY', KEYS[2], host, 1) .. '-' .. ARGV[2]
redis.call('HSET', KEYS[1], host, identity)
redis.call('ZADD', KEYS[3], now, host)
redis.call('DEL', KEYS[4], KEYS[8])
if ARGV[6] ~= '1' then
  forget_desired(KEYS[9])
end
redis.call('ZREM', KEYS[5], host)
announce(KEYS[7], ARGV[5], 'host.joined', 'host', host, 'identity', identity)
return { 'registered', identity }
