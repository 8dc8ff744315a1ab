-- Count delayed messages by their list, from a place on.
--
-- KEYS[1] sorted set of the delayed messages
-- ARGV[1] place     ARGV[2] most messages to look at  ARGV[3] stop after so many bytes
-- Returns {place of the next one, list, number, list, number, ...}

-- include counting

local at, stop = tonumber(ARGV[1]), ARGV[1] + ARGV[2]
while at < stop and bytes < tonumber(ARGV[3]) do
    local member = redis.call('ZRANGE', KEYS[1], at, at)[1]
    if not member then break end
    count(member)
    at = at + 1
end
return counted(at)
