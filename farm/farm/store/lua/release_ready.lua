-- Moves jobs whose dependencies are met, and which a stock worker left in RQ's ready registry, to their queues.
--
-- KEYS   1 coordinator, then 1 for each queue: ready registry
--        and, by name, the jobs' hashes, queues, rate limits
-- ARGV   1 own value  2 RQ's prefix  3 how many at most of each queue  4… names of the queues
-- RETURN nil to a caller that does not lead, else how many were moved
--
-- GUARANTEE  An id that is gone, or not ready any more, is removed. One step per job as RQ's readers see it, so that a
--            stock worker that does the same at this moment finds nothing left to do.
-- include leads
-- include clock
-- include release_dependents
local prefix = ARGV[2]
local now, now_iso = read_clock()
local moved = 0
for i = 4, #ARGV do
  local registry = KEYS[i - 2]
  local ids = redis.pcall('ZRANGE', registry, 0, tonumber(ARGV[3]) - 1)
  for _, id in ipairs(ids.err and {} or ids) do
    local status = redis.pcall('HGET', prefix .. ':job:' .. id, 'status')
    if status ~= 'ready_to_enqueue' then
      redis.call('ZREM', registry, id)
    elseif enqueue_waiting(prefix, id, ARGV[i], now, now_iso) then
      redis.call('ZREM', registry, id)
      moved = moved + 1
    end
  end
end
return moved
