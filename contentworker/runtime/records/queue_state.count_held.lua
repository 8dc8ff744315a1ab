-- Count what a worker holds, by list.
--
-- KEYS[1] hash of what the worker holds
-- ARGV[1] how many were looked at so far  ARGV[2] most messages to look at
-- Returns {how many were looked at by now, list, number, list, number, ...}

-- include counting

local at, stop = tonumber(ARGV[1]), ARGV[1] + ARGV[2]
for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.match(tag, '^%d+-%d+$') and at < stop then
        count(redis.call('HGET', KEYS[1], tag))
        at = at + 1
    end
end
return counted(at)
