-- Renews a host's lease and publishes what it says of itself.
--
-- KEYS   1 identities  2 hosts  3 host hash  4 load  5 desired  6 coordinator  7 campaign  8 inbox  9 running
--        10 the bell of room  11 RQ worker hash  12 RQ worker executions  13 rq:suspended  14 processes  15 reserved
--        16 coordinator's bell  17 sole
-- ARGV   1 host  2 identity  3 TTL of the host hash  4 load  5 milliseconds that a won campaign lasts, 0 if this host
--        does not campaign  6 now, ISO 8601  7 RQ worker state  8 TTL of the RQ worker hash  9 capacity
--        10 how many parts of the list of processes follow, '' if that stays as it is  11… that list, flat (name, line),
--        then the fields of the host hash, flat
-- RETURN {0} if the lease is gone, else {1, leader ('' if none), campaign won 0/1, inbox length, suspended 0/1,
--        RQ worker record present 0/1, desired (flat), queues reserved for this host, sole 0/1}
--
-- GUARANTEE  Renews only a lease that is current: after a refusal nothing was written, and the host must register anew.
--            A lease that nobody took away is current however old it is: what it holds is still its own. Rings the bell
--            of room when the host has some, and the coordinator when the host became able to take other jobs than before.
-- include ring
local host, identity = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 0 }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local processes_end = 10 + (tonumber(ARGV[10]) or 0)
local inbox = redis.call('LLEN', KEYS[8])
local assigned = inbox + redis.call('HLEN', KEYS[9])
-- A server that does not know script flags refuses nothing for want of memory after a first write that needs none.
redis.call('EXPIRE', KEYS[3], ARGV[3])
local before = redis.pcall('HGET', KEYS[3], 'state')
redis.call('ZADD', KEYS[2], now, host)
redis.call('HSET', KEYS[3], 'assigned', assigned, unpack(ARGV, processes_end + 1))
redis.call('EXPIRE', KEYS[3], ARGV[3])
if ARGV[10] ~= '' then
  redis.call('DEL', KEYS[14])
  redis.call('HSET', KEYS[14], 'at', string.format('%.3f', now), unpack(ARGV, 11, processes_end))
end
redis.call('EXPIRE', KEYS[14], ARGV[3])
redis.pcall('ZADD', KEYS[4], ARGV[4], host)

local has_worker = redis.call('EXISTS', KEYS[11])
if has_worker == 1 then
  redis.pcall('HSET', KEYS[11], 'last_heartbeat', ARGV[6], 'state', ARGV[7])
  redis.call('EXPIRE', KEYS[11], ARGV[8])
  redis.call('EXPIRE', KEYS[12], ARGV[8])
end

if tonumber(ARGV[9]) > assigned then
  ring(KEYS[10])
end
if before ~= redis.pcall('HGET', KEYS[3], 'state') then
  ring(KEYS[16])
end

local leader = redis.call('GET', KEYS[6]) or ''
local won = 0
if leader == '' and ARGV[5] ~= '0' and redis.call('SET', KEYS[7], host, 'NX', 'PX', ARGV[5]) then
  won = 1
end
redis.call('EXPIRE', KEYS[5], ARGV[3])
local desired = redis.pcall('HGETALL', KEYS[5])
local reserved, own = redis.pcall('HGETALL', KEYS[15]), {}
for i = 1, #reserved, 2 do
  if reserved[i + 1] == host .. '|' .. identity then
    own[#own + 1] = reserved[i]
  end
end
local is_sole = redis.pcall('HGET', KEYS[17], host) == identity and 1 or 0
return { 1, leader, won, inbox, redis.call('EXISTS', KEYS[13]), has_worker, desired.err and {} or desired, own, is_sole }
