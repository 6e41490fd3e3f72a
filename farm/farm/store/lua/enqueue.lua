-- Enqueues jobs that wait for nothing but a host: writes their records, and puts their ids at one end of their queue.
--
-- KEYS   1 RQ's set of queues  2 queue  3… the jobs' records, in the order in which they shall run
--        and, by name, what RQ keeps beside a record, if it is to expire
-- ARGV   1 RQ's prefix  2 `front` or `back`  3 seconds until the records expire, 0 never  4 number of their fields, f
--        5 which field is `data`, 6 which is `description`, from 1
--        7… f names and values, as the first job has them; then data and description of each other job
-- RETURN how many were enqueued
--
-- GUARANTEE  A queue that is no list, or a Redis that is full, is an error, and nothing was written. The same call twice
--            enqueues the jobs twice: nothing repeats it by itself.
local rq_prefix, at_front, ttl = ARGV[1], ARGV[2] == 'front', tonumber(ARGV[3])
local last = 6 + 2 * tonumber(ARGV[4])
local before_id = #rq_prefix + #':job:'
local ids, jobs = {}, #KEYS - 2

local function keep_id(i)
  local key = KEYS[2 + i]
  local id = string.sub(key, before_id + 1)
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', key .. ':dependents', ttl)
    redis.call('EXPIRE', rq_prefix .. ':job::' .. id .. ':dependencies', ttl)
  end
  ids[at_front and jobs + 1 - i or i] = id
end

redis.call('LLEN', KEYS[2]) -- the error comes before the records
redis.call('SADD', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[3], unpack(ARGV, 7, last)) -- a job alone needs no table of its own
keep_id(1)
if jobs > 1 then
  local data, description = 2 * tonumber(ARGV[5]), 2 * tonumber(ARGV[6])
  local fields = { unpack(ARGV, 7, last) }
  for i = 2, jobs do
    fields[data], fields[description] = ARGV[last + 2 * i - 3], ARGV[last + 2 * i - 2]
    redis.call('HSET', KEYS[2 + i], unpack(fields))
    keep_id(i)
  end
end
redis.call(at_front and 'LPUSH' or 'RPUSH', KEYS[2], unpack(ids))
return jobs
