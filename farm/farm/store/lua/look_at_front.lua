-- Reads the front of one queue, for those whose jobs are looked at before they are dealt. Writes nothing.
--
-- KEYS   1 queue; and, by name, the hashes of the jobs found
-- ARGV   1 RQ's prefix  2 how many ids of the front at most  3, 4 ranks of the first and the last job to be read
--        5… ids of more jobs to be read
-- RETURN {ids of the front, jobs of those ranks, the other jobs}, a job being {id, what its description calls,
--        farm_requires, farm_memory_mb, farm_declined}; '' for what is not there
--
-- GUARANTEE  Bounded by what is asked for. A key of the wrong type is an empty queue, a record of the wrong type a job
--            without needs.
local function read(id)
  local fields = redis.pcall('HMGET', ARGV[1] .. ':job:' .. id, 'description', 'farm_requires', 'farm_memory_mb', 'farm_declined')
  if fields.err then
    fields = {}
  end
  return { id, string.match(string.sub(fields[1] or '', 1, 200), '^[^(]*'), fields[2] or '', fields[3] or '', fields[4] or '' }
end

local function ids_from(first, last)
  local ids = redis.pcall('LRANGE', KEYS[1], first, last)
  return ids.err and {} or ids
end

local ranked, others = {}, {}
for i, id in ipairs(ids_from(ARGV[3], ARGV[4])) do
  ranked[i] = read(id)
end
for i = 5, #ARGV do
  others[i - 4] = read(ARGV[i])
end
return { tonumber(ARGV[2]) > 0 and ids_from('0', ARGV[2] - 1) or {}, ranked, others }
