-- Releases one page of the jobs that wait for one job that has ended.
--
-- KEYS   1 coordinator  2 dependents
--        and, by name, the hashes, queues and registries of the jobs that wait
-- ARGV   1 own value  2 RQ's prefix  3 member of dependents, `<outcome>:<id>`  4 cursor, '0' at first  5 page size
-- RETURN nil to a caller that does not lead, else {next cursor, released}; next cursor '0' when all were looked at
--
-- GUARANTEE  The member leaves only when all were looked at. Safe to repeat from the start. The set of those that wait
--            has no end until then; after it, that of the job's hash.
-- include leads
-- include clock
-- include release_dependents
local _, now_iso = read_clock()
local outcome, id = string.match(ARGV[3], '^(%a+):(.*)$')
local cursor, released = '0', 0

local function end_with_job(dependents, job)
  local ttl = redis.call('TTL', job)
  if ttl == -2 then
    redis.call('DEL', dependents)
  elseif ttl == -1 then
    redis.call('PERSIST', dependents)
  else
    redis.call('EXPIRE', dependents, ttl)
  end
end

if outcome then
  _, cursor, released = release_dependents(ARGV[2], id, outcome, now_iso, tonumber(ARGV[5]), ARGV[4])
end
if cursor == '0' then
  if outcome then
    end_with_job(ARGV[2] .. ':job:' .. id .. ':dependents', ARGV[2] .. ':job:' .. id)
  end
  redis.call('ZREM', KEYS[2], ARGV[3])
end
return { cursor, released }
