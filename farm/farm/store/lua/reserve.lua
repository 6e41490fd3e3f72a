-- Says which host may take the next jobs of a queue by itself, and tells the hosts.
--
-- KEYS   1 coordinator  2 reserved, then the bells of the hosts that are to look
-- ARGV   1 own value  2… name of a queue and `host|identity`, '' for none any more, …
-- RETURN nil to a caller that does not lead, else 1
--
-- GUARANTEE  Each queue is reserved for one host at most.
-- include leads
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
redis.call('EXPIRE', KEYS[2], 86400)
for i = 3, #KEYS do
  redis.pcall('LPUSH', KEYS[i], 'reserved')
  redis.pcall('LTRIM', KEYS[i], 0, 0)
  redis.pcall('EXPIRE', KEYS[i], 60)
end
return 1
