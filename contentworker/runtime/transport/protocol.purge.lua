-- Delete parked messages of some lists, and all marks there; if no more are parked, the delayed ones too.
-- Returns how many messages. Repeat it while these are as many as may be parked ones.
--
-- KEYS[1] RETURNED  KEYS[2] DELAYED
-- ARGV[1] most parked messages to delete  ARGV[2...] lists

-- include records
-- include places

local returned, delayed = KEYS[1], KEYS[2]
local lists, purged = {}, 0
local most = tonumber(ARGV[1])
for i = 2, #ARGV do
    local list = ARGV[i]
    lists[list] = true
    redis.call('DEL', returned .. list)
    purged = purged + unpark_some(list, most - purged)
end
if purged == most then return purged end
for _, record in ipairs(redis.call('ZRANGE', delayed, 0, -1)) do
    local list = unpack_record(record)
    if list and lists[list] then purged = purged + redis.call('ZREM', delayed, record) end
end
return purged
