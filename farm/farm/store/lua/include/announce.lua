-- announce(events, now_iso, event, name, value, ...): one entry on the stream of rare events. A key of the wrong type is
-- skipped: an announcement never stops the transition that it tells of.
local function announce(events, now_iso, event, ...)
  redis.pcall('XADD', events, 'MAXLEN', '~', 10000, '*', 'event', event, 'at', now_iso, ...)
end
