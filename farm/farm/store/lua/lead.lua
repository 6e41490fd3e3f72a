-- Takes the lead if nobody has it, or keeps it.
--
-- KEYS   1 coordinator  2 epochs  3 events  4 campaign
-- ARGV   1 own value, '' for a caller that does not lead  2 random token  3 name  4 LEADER_TTL in milliseconds
--        5 field of the epoch
-- RETURN {1, own value} while the caller leads, {0, the leader's value} otherwise. A value with the caller's token is its
--        own, also when the reply that gave it was lost
--
-- GUARANTEE  One leader at a time, and an epoch is never given twice. A leader whose key expired and was taken by nobody
--            gets a new epoch, so that what it sent under the old one is refused.
-- include clock
-- include announce
local holder = redis.call('GET', KEYS[1])
if holder and (holder == ARGV[1] or string.match(holder, '^%d+:([^:]*):') == ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return { 1, holder }
end
if holder then
  return { 0, holder }
end
local epoch = redis.call('HINCRBY', KEYS[2], ARGV[5], 1)
local value = epoch .. ':' .. ARGV[2] .. ':' .. ARGV[3]
redis.call('SET', KEYS[1], value, 'PX', ARGV[4])
redis.call('DEL', KEYS[4])
local _, now_iso = read_clock()
announce(KEYS[3], now_iso, 'coordinator.elected', 'coordinator', ARGV[3], 'epoch', epoch)
return { 1, value }
