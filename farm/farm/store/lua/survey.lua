-- Reads what placement needs, in one step. Writes nothing.
--
-- KEYS   1 hosts  2 identities  3 rq:suspended  4 rq:queues, then 3 for each host: its hash, inbox, running; then the
--        queues' lists
-- ARGV   1 number of hosts
-- RETURN {now, suspended 0/1, queue keys known to RQ, hosts, queues}
--        hosts   {name, beat, identity, …} of all that have a beat, then one list for each host asked for:
--                {held, state, load, threshold, slots, busy, assigned, capacity, prefetch, queues, boot_id, reason,
--                dequeue_strategy}
--        queues  length of each list, -1 for a key of the wrong type
local time = redis.call('TIME')
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local present = {}
for i = 1, #members, 2 do
  present[#present + 1] = members[i]
  present[#present + 1] = members[i + 1]
  present[#present + 1] = redis.call('HGET', KEYS[2], members[i]) or ''
end
local hosts = { present }
for i = 1, tonumber(ARGV[1]) do
  local first = 2 + 3 * i
  local record = redis.pcall('HMGET', KEYS[first], 'state', 'load', 'threshold', 'slots', 'busy', 'assigned', 'capacity',
    'prefetch', 'queues', 'boot_id', 'reason', 'dequeue_strategy')
  if record.err then
    record = {}
  end
  local waiting, running = redis.pcall('LLEN', KEYS[first + 1]), redis.pcall('HLEN', KEYS[first + 2])
  local held = (type(waiting) == 'number' and waiting or 0) + (type(running) == 'number' and running or 0)
  for j = 1, 12 do
    record[j] = record[j] or ''
  end
  hosts[#hosts + 1] = { held, unpack(record, 1, 12) }
end
local queues = {}
for i = 5 + 3 * tonumber(ARGV[1]), #KEYS do
  local length = redis.pcall('LLEN', KEYS[i])
  queues[#queues + 1] = type(length) == 'number' and length or -1
end
return { time[1] .. '.' .. string.format('%06d', time[2]), redis.call('EXISTS', KEYS[3]),
  redis.call('SMEMBERS', KEYS[4]), hosts, queues }
