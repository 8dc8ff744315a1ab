-- Delete the delayed and the parked messages of some lists, and all marks there. Returns how many messages.
--
-- KEYS[1] RETURNED  KEYS[2] DELAYED
-- ARGV[...] lists

-- include records
-- include places

local returned, delayed = KEYS[1], KEYS[2]
local lists, purged = {}, 0
for _, list in ipairs(ARGV) do
    lists[list] = true
    redis.call('DEL', returned .. list)
    purged = purged + unpark_all(list)
end
for _, record in ipairs(redis.call('ZRANGE', delayed, 0, -1)) do
    local list = unpack_record(record)
    if list and lists[list] then purged = purged + redis.call('ZREM', delayed, record) end
end
return purged
