-- Releases one page of the jobs that wait for one job that has ended.
--
-- KEYS   1 coordinator  2 dependents
--        and, by name, the hashes, queues and registries of the jobs that wait
-- ARGV   1 own value  2 RQ's prefix  3 member of dependents, `<outcome>:<id>`  4 cursor, '0' at first  5 page size
-- RETURN nil to a caller that does not lead, else {next cursor, released}; next cursor '0' when all were looked at
--
-- GUARANTEE  The member leaves only when all were looked at. Safe to repeat from the start.
-- include leads
-- include clock
-- include release_dependents
local _, now_iso = read_clock()
local outcome, id = string.match(ARGV[3], '^(%a+):(.*)$')
local cursor, released = '0', 0
if outcome then
  _, cursor, released = release_dependents(ARGV[2], id, outcome, now_iso, tonumber(ARGV[5]), ARGV[4])
end
if cursor == '0' then
  redis.call('ZREM', KEYS[2], ARGV[3])
end
return { cursor, released }
