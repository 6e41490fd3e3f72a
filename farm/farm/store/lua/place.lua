-- Places jobs: from their queues to the inboxes of hosts, in the order of a plan.
--
-- KEYS   1 coordinator  2 rq:suspended  3 hosts  4 identities, then 3 for each queue: its list, deferral, deferred index;
--        then 4 for each host: its hash, inbox, running, bell
-- ARGV   1 own value  2 SUSPECT_AFTER seconds  3 number of queues  4 number of hosts  5 the plan: numbers of hosts, from 1,
--        each with a comma after it, at most 500  6 RQ's prefix; then 3 for each host: name, identity, numbers of its
--        queues in its own order, each with a comma after it; and, by name, the hashes of the jobs
-- RETURN nil to a caller that does not lead, else {placed on each host, placed from each queue, 1 for each queue that goes
--        on with a job that has to be looked at}; -1 placed from a queue whose key is not a list
--
-- GUARANTEE  An id moves in one step, and in the queue's order. A host gets nothing when its identity is not current, its
--            beat is older than SUSPECT_AFTER, or it holds as many jobs as its published capacity. Nothing is placed
--            while RQ is suspended. State decides, so a repeat after a lost reply places on what room is left. A job that only some
--            hosts may have is not placed, nor is anything behind it, nor anything else on a host whose turn it was.
-- From the first pop on, nothing may raise: keys that could be of a wrong type were read before, or are called protected.
-- include leads
-- include particular
local queue_count, host_count = tonumber(ARGV[3]), tonumber(ARGV[4])
local from_queue, on_host, particular = {}, {}, {}
for i = 1, queue_count do
  from_queue[i], particular[i] = 0, 0
end
for i = 1, host_count do
  on_host[i] = 0
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { on_host, from_queue, particular }
end

-- include placing

local function read_numbers(text)
  local numbers = {}
  for number in string.gmatch(text, '(%d+),') do
    numbers[#numbers + 1] = tonumber(number)
  end
  return numbers
end

local plan = read_numbers(ARGV[5])
local rooms, orders, inboxes = {}, {}, {}
for i = 1, host_count do
  rooms[i], orders[i], inboxes[i] = room_of(i, ARGV[3 * i + 4], ARGV[3 * i + 5]), read_numbers(ARGV[3 * i + 6]), {}
end

-- The heads of the queues, read at first use; what was dealt is cut off at the end, in one command per queue.
local heads = {}
local function next_of(queue)
  local head = heads[queue]
  if not head then
    head = redis.pcall('LRANGE', KEYS[2 + 3 * queue], 0, #plan - 1)
    if head.err then
      head, from_queue[queue] = {}, -1
    end
    heads[queue] = head
  end
  local id = head[from_queue[queue] + 1]
  if id and is_particular(ARGV[6], id) then
    particular[queue] = 1
    return nil
  end
  if id then
    from_queue[queue] = from_queue[queue] + 1
  end
  return id
end

for _, host in ipairs(plan) do
  if rooms[host] > 0 then
    for _, queue in ipairs(orders[host]) do
      local id = next_of(queue)
      if id then
        local inbox = inboxes[host]
        inbox[#inbox + 1] = id
        rooms[host] = rooms[host] - 1
      end
      if id or particular[queue] == 1 then
        break
      end
    end
  end
end

for queue = 1, queue_count do
  local taken = from_queue[queue]
  if taken > 0 then
    redis.call('LPOP', KEYS[2 + 3 * queue], taken)
    if redis.call('EXISTS', KEYS[3 + 3 * queue]) == 1 then
      redis.pcall('ZREM', KEYS[4 + 3 * queue], unpack(heads[queue], 1, taken))
    end
  end
end
for host = 1, host_count do
  local inbox = inboxes[host]
  on_host[host] = #inbox
  if #inbox > 0 then
    redis.call('RPUSH', host_key(host, 2), unpack(inbox))
    wake_host(host)
  end
end
return { on_host, from_queue, particular }
