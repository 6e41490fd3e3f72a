-- Removes ids from the index of deferred jobs that are not among the first of the queue any more.
--
-- KEYS   1 coordinator  2 queue  3 deferred index
-- ARGV   1 own value  2 how many ids the index holds at most
-- RETURN nil to a caller that does not lead, else how many were removed
--
-- GUARANTEE  No job moves. Needed only when the index is larger than the queue: placing removes its ids itself.
-- include leads
local waiting = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1)) do
  waiting[id] = true
end
local removed = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if not waiting[id] then
    removed = removed + redis.call('ZREM', KEYS[3], id)
  end
end
return removed
