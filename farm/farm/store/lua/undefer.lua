-- Ends the deferral of a queue.
--
-- KEYS   1 coordinator  2 queue  3 deferral  4 deferred index  5 events
-- ARGV   1 own value  2 queue's name  3 why it ends
-- RETURN nil to a caller that does not lead, 1 if the queue was deferred, else 0
--
-- GUARANTEE  No job moves. Nothing of the deferral stays; one event.
-- include leads
-- include clock
-- include announce
local since = redis.call('HGET', KEYS[3], 'since')
local ended = redis.call('DEL', KEYS[3])
redis.call('DEL', KEYS[4])
if ended == 1 then
  local now, now_iso = read_clock()
  local length = redis.pcall('LLEN', KEYS[2])
  announce(KEYS[5], now_iso, 'deferral.ended', 'queue', ARGV[2], 'reason', ARGV[3],
    'seconds', string.format('%.1f', now - (tonumber(since or '') or now)), 'count', type(length) == 'number' and length or 0)
end
return ended
