-- Gives the lead up at a clean stop, so that another takes over at once.
--
-- KEYS   1 coordinator  2… locks of RQ's schedulers
-- ARGV   1 own value  2 token that the locks were taken with
-- RETURN 1 if the caller led, else 0
--
-- GUARANTEE  Only the caller's own key and locks are deleted. A lock that another coordinator uses by now has the same
--            token, which is why nothing is deleted by a caller that leads no more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  if redis.pcall('GET', KEYS[i]) == ARGV[2] then
    redis.call('DEL', KEYS[i])
  end
end
return redis.call('DEL', KEYS[1])
