-- Says which host may take the next jobs of a queue by itself, and which hosts may do so whenever; and tells the hosts.
--
-- KEYS   1 coordinator  2 reserved  3 sole, then the bells of the hosts that are to look
-- ARGV   1 own value  2 number of queues  3… name of a queue and `host|identity`, '' for none any more, …; then all that is
--        to be in `sole`: name of a host, its identity, …
-- RETURN nil to a caller that does not lead, else 1
--
-- GUARANTEE  Each queue is reserved for one host at most.
-- include leads
local after_queues = 3 + 2 * tonumber(ARGV[2])
for i = 3, after_queues - 1, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
redis.call('EXPIRE', KEYS[2], 86400)
redis.call('DEL', KEYS[3])
for i = after_queues, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[3], 86400)
for i = 4, #KEYS do
  redis.pcall('LPUSH', KEYS[i], 'reserved')
  redis.pcall('LTRIM', KEYS[i], 0, 0)
  redis.pcall('EXPIRE', KEYS[i], 60)
end
return 1
