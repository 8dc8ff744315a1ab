-- Move delayed messages into their lists, due or not, and parked ones. Returns how many moved.
--
-- KEYS[1] RETURNED  KEYS[2] DELAYED
-- ARGV[1] most messages to move

-- include records
-- include places

local delayed = KEYS[2]
local moved = 0
for _, record in ipairs(redis.call('ZRANGE', delayed, 0, ARGV[1] - 1)) do
    local list, raw, deaths = unpack_record(record)
    if list then
        redis.call('ZREM', delayed, record)
        put('LPUSH', list, raw, deaths)
        moved = moved + 1
    end
end
for _, list in ipairs(redis.call('HKEYS', PARKED)) do
    moved = moved + unpark_some(list, ARGV[1] - moved, function(raw, deaths) put('RPUSH', list, raw, deaths) end)
end
return moved
