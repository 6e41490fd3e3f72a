-- Moves jobs whose time has come from RQ's scheduled registries to their queues.
--
-- KEYS   1 coordinator, then 2 for each queue: lock of RQ's schedulers, scheduled registry
--        and, by name, the jobs' hashes, queues, rate limits
-- ARGV   1 own value  2 token of our locks  3 seconds that a lock lasts  4 RQ's prefix  5 how many at most in all
--        6… names of the queues
-- RETURN nil to a caller that does not lead, else {moved, more 0/1, moved of each queue}; -1 for a queue whose keys are
--        of a wrong type, -2 for one whose lock another scheduler holds
--
-- GUARANTEE  Due means due by Redis's clock, to the whole second as RQ writes it. A lock is taken only when something is
--            due, and kept until it expires: a stock scheduler waits elsewhere. An id whose record is gone, or that is not
--            scheduled any more, is removed.
-- include leads
-- include clock
-- include release_dependents
local prefix, limit = ARGV[4], tonumber(ARGV[5])
local now, now_iso = read_clock()
local moved, more, each = 0, 0, {}

local function take_lock(lock)
  local holder = redis.call('GET', lock)
  if holder and holder ~= ARGV[2] then
    return false
  end
  redis.call('SET', lock, ARGV[2], 'EX', ARGV[3])
  return true
end

local function release(registry, queue, id)
  local status = redis.pcall('HGET', prefix .. ':job:' .. id, 'status')
  if status == 'scheduled' then
    if not enqueue_waiting(prefix, id, queue, now, now_iso) then
      return -1
    end
    redis.call('ZREM', registry, id)
    return 1
  end
  redis.call('ZREM', registry, id)
  return 0
end

local function release_due(lock, registry, queue)
  local due = redis.call('ZRANGEBYSCORE', registry, 0, now, 'LIMIT', 0, limit - moved)
  if #due == 0 then
    return 0
  end
  if not take_lock(lock) then
    return -2
  end
  local count = 0
  for _, id in ipairs(due) do
    local outcome = release(registry, queue, id)
    if outcome < 0 then
      return -1
    end
    count = count + outcome
  end
  moved = moved + count
  return count
end

for i = 6, #ARGV do
  if moved >= limit then
    more = 1
    break
  end
  local first = 2 + 2 * (i - 6)
  local readable, count = pcall(release_due, KEYS[first], KEYS[first + 1], ARGV[i])
  each[#each + 1] = readable and count or -1
end
if moved >= limit then
  more = 1
end
return { moved, more, each }
