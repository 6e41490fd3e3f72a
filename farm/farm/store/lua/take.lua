-- Takes jobs for a host that they were reserved for: from the heads of its queues to its inbox, without the coordinator.
--
-- KEYS   1 identities  2 reserved  3 host hash  4 inbox  5 running  6 rq:suspended  7 coordinator's bell; then 3 for each
--        queue of the host: its list, deferral, deferred index
-- ARGV   1 host  2 identity  3 how many at most  4… names of the queues, in the host's own order
-- RETURN how many were taken
--
-- GUARANTEE  As `place`: an id moves in one step and in the queue's order, a host never holds more than its published
--            capacity, nothing moves while RQ is suspended. A host takes only from queues that are reserved for its
--            current identity, and from none while a queue before it has jobs. Rings the coordinator when it leaves jobs
--            behind, or could not begin one more.
-- include ring
local host, identity = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[1], host) ~= identity or redis.call('EXISTS', KEYS[6]) == 1 then
  return 0
end
local capacity = redis.pcall('HGET', KEYS[3], 'capacity')
local room = (tonumber(type(capacity) == 'string' and capacity or '') or 0)
  - redis.call('LLEN', KEYS[4]) - redis.call('HLEN', KEYS[5])
local most = tonumber(ARGV[3])
room = math.min(room, most)
local taken, is_any_left = 0, false

local function take_from(queue, number)
  local ids = redis.call('LRANGE', KEYS[queue], 0, number - 1)
  if #ids == 0 then
    return 0
  end
  redis.call('RPUSH', KEYS[4], unpack(ids))
  redis.call('LPOP', KEYS[queue], #ids)
  if redis.call('EXISTS', KEYS[queue + 1]) == 1 then
    redis.pcall('ZREM', KEYS[queue + 2], unpack(ids))
  end
  return #ids
end

for i = 4, #ARGV do
  local queue = 8 + 3 * (i - 4)
  local waiting = redis.pcall('LLEN', KEYS[queue])
  if type(waiting) == 'number' and waiting > 0 then
    if redis.pcall('HGET', KEYS[2], ARGV[i]) ~= host .. '|' .. identity then
      is_any_left = true
      break
    end
    local got = room > taken and take_from(queue, room - taken) or 0
    taken = taken + got
    if got < waiting then
      is_any_left = true
      break
    end
  end
end
if is_any_left or taken >= most then
  ring(KEYS[7])
end
return taken
