-- Delete messages of some lists: parked ones, and all marks there; once no more are parked, delayed ones too.
-- It deletes or looks at a limited number, so repeat it until all have been looked at.
--
-- KEYS[1] RETURNED  KEYS[2] DELAYED
-- ARGV[1] most parked messages to delete, and most delayed ones to look at
-- ARGV[2] how many delayed ones to skip, counted from the one that is due last
-- ARGV[3...] lists
-- Returns {how many messages it deleted, how many delayed ones the next call has to skip (-1: all were looked at)}

-- include records
-- include places

local returned, delayed = KEYS[1], KEYS[2]
local lists, purged = {}, 0
local most, skip = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, #ARGV do
    local list = ARGV[i]
    lists[list] = true
    redis.call('DEL', returned .. list)
    purged = purged + unpark_some(list, most - purged)
end
if purged == most then return {purged, skip} end
-- From the end: between two calls, messages that become due leave at the beginning, and would shift the others.
local records = redis.call('ZRANGE', delayed, -skip - most, -skip - 1)
for _, record in ipairs(records) do
    local list = unpack_record(record)
    if list and lists[list] then
        purged = purged + redis.call('ZREM', delayed, record)
    else
        skip = skip + 1
    end
end
return {purged, #records == most and skip or -1}
