-- Reads what placement needs, in one step. Writes nothing.
--
-- KEYS   1 hosts  2 identities  3 rq:suspended  4 rq:queues, then the queues' lists. The keys of hosts that it finds in
--        `hosts` itself are built here
-- ARGV   1 prefix of the keys of hosts  2 hosts that beat at this time or later are told of, '-inf' for all of them
--        3 RQ's prefix  4… names of hosts of which it is told how many jobs they hold
-- RETURN {now, suspended 0/1, queue keys known to RQ, how many hosts have a beat, hosts, held, queues, particular}
--        hosts   {name, beat, identity, held, state, load, threshold, slots, busy, assigned, capacity, queues,
--                boot_id, reason, dequeue_strategy, labels, cpu_count, memory_left, memory_total, prefetch, others_load,
--                load_source, needs}, …
--        held    a number for each host of ARGV
--        queues  length of each list, -1 for a key of the wrong type
--        particular  numbers of the queues, from 1, whose first job only some hosts may have
-- include particular
local function number(answer)
  return type(answer) == 'number' and answer or 0
end

local function held_by(name, identity)
  local key = ARGV[1] .. name .. ':' .. identity
  return number(redis.pcall('LLEN', key .. ':inbox')) + number(redis.pcall('HLEN', key .. ':running'))
end

local FIELDS = 19
local time = redis.call('TIME')
local members = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES')
local hosts = {}
for i = 1, #members, 2 do
  local name = members[i]
  local identity = redis.call('HGET', KEYS[2], name) or ''
  local record = redis.pcall('HMGET', ARGV[1] .. name, 'state', 'load', 'threshold', 'slots', 'busy', 'assigned',
    'capacity', 'queues', 'boot_id', 'reason', 'dequeue_strategy', 'labels', 'cpu_count', 'memory_left', 'memory_total',
    'prefetch', 'others_load', 'load_source', 'needs')
  if record.err then
    record = {}
  end
  for j = 1, FIELDS do
    record[j] = record[j] or ''
  end
  hosts[#hosts + 1] = { name, members[i + 1], identity, held_by(name, identity), unpack(record, 1, FIELDS) }
end

local held = {}
for i = 4, #ARGV do
  held[#held + 1] = held_by(ARGV[i], redis.call('HGET', KEYS[2], ARGV[i]) or '')
end

local queues, particular = {}, {}
for i = 5, #KEYS do
  local length = redis.pcall('LLEN', KEYS[i])
  queues[#queues + 1] = type(length) == 'number' and length or -1
  if queues[#queues] > 0 and is_particular(ARGV[3], redis.call('LINDEX', KEYS[i], 0)) then
    particular[#particular + 1] = #queues
  end
end
return { time[1] .. '.' .. string.format('%06d', time[2]), redis.call('EXISTS', KEYS[3]),
  redis.call('SMEMBERS', KEYS[4]), redis.call('ZCARD', KEYS[1]), hosts, held, queues, particular }
