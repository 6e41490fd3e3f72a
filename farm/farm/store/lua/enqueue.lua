-- Enqueues jobs that wait for nothing but a host: writes their records, and puts their ids at one end of their queue.
--
-- KEYS   1 RQ's set of queues  2 queue  3… the jobs' records, in the order in which they shall run
--        and, by name, what RQ keeps beside a record, if it is to expire
-- ARGV   1 RQ's prefix  2 `front` or `back`  3 seconds until the records expire, 0 never  4 number of their fields, f
--        5 which field is `data`, 6 which is `description`, from 1  7… f names and values, then data and description of each job
-- RETURN how many were enqueued
--
-- GUARANTEE  A queue that is no list, or a Redis that is full, is an error, and nothing was written. The same call twice
--            enqueues the jobs twice: nothing repeats it by itself.
local rq_prefix, at_front, ttl, count = ARGV[1], ARGV[2] == 'front', tonumber(ARGV[3]), tonumber(ARGV[4])
local data, description = 2 * tonumber(ARGV[5]), 2 * tonumber(ARGV[6])
local jobs = #KEYS - 2
local fields, ids = {}, {}
for i = 1, 2 * count do
  fields[i] = ARGV[6 + i]
end

redis.call('LLEN', KEYS[2]) -- the error comes before the records
redis.call('SADD', KEYS[1], KEYS[2])
local before_id = #rq_prefix + #':job:'
for i = 1, jobs do
  local key = KEYS[2 + i]
  local id = string.sub(key, before_id + 1)
  local call = 6 + 2 * count + 2 * i
  fields[data], fields[description] = ARGV[call - 1], ARGV[call]
  redis.call('HSET', key, unpack(fields))
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', key .. ':dependents', ttl)
    redis.call('EXPIRE', rq_prefix .. ':job::' .. id .. ':dependencies', ttl)
  end
  ids[at_front and jobs + 1 - i or i] = id
end
return redis.call(at_front and 'LPUSH' or 'RPUSH', KEYS[2], unpack(ids)) and jobs
