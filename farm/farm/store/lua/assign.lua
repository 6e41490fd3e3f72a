-- Places named jobs: each from its queue, wherever it stands there, to the inbox of the host that was chosen for it.
--
-- KEYS   1 coordinator  2 rq:suspended  3 hosts  4 identities, then 3 for each queue: its list, deferral, deferred index;
--        then 4 for each host: its hash, inbox, running, bell
-- ARGV   1 own value  2 SUSPECT_AFTER seconds  3 number of queues  4 number of hosts, then 2 for each host: name, identity;
--        then 3 for each job: id, number of its queue, number of its host, both from 1
-- RETURN nil to a caller that does not lead, else for each job 1 if it was placed, 0 if not
--
-- GUARANTEE  As `place`: an id moves in one step, and only if it still waits in its queue. A host gets nothing when its
--            identity is not current, its beat is older than SUSPECT_AFTER, or it holds as many jobs as its published
--            capacity. Nothing is placed while RQ is suspended. Jobs that are passed over stay where they stand.
-- From the first removal on, nothing may raise: keys that could be of a wrong type were read before, or are called protected.
-- include leads
local queue_count, host_count = tonumber(ARGV[3]), tonumber(ARGV[4])
local first_job = 5 + 2 * host_count
local placed = {}
for i = first_job, #ARGV, 3 do
  placed[#placed + 1] = 0
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return placed
end

-- include placing
local rooms, got = {}, {}
for i = 1, host_count do
  rooms[i], got[i] = room_of(i, ARGV[3 + 2 * i], ARGV[4 + 2 * i]), false
end

for number = 1, #placed do
  local i = first_job + 3 * (number - 1)
  local id, queue, host = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if rooms[host] > 0 and redis.pcall('LREM', KEYS[2 + 3 * queue], 1, id) == 1 then
    redis.call('RPUSH', host_key(host, 2), id)
    redis.pcall('ZREM', KEYS[4 + 3 * queue], id)
    rooms[host], placed[number], got[host] = rooms[host] - 1, 1, true
  end
end
for host = 1, host_count do
  if got[host] then
    wake_host(host)
  end
end
return placed
