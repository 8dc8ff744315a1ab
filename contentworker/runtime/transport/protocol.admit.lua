-- Give messages that were taken their places, or park them. A repetition has the same result.
--
-- KEYS[1] RETURNED  KEYS[2] hash of what the holder holds
-- ARGV[1] limits as JSON: name → [concurrency, rate, seconds of the rate], 0 for none
-- ARGV[2] how many may start at most
-- ARGV[3...] for each message: tag, partition, and 1 if it waits where it may not start, else 0
-- Returns for each: 0 if it may start, 1 if it is parked or not held any more; otherwise, in milliseconds and at
-- least 2, in how long it may start: it stays held, and its worker decides.

-- include records
-- include places

local held, limits, room = KEYS[2], cjson.decode(ARGV[1]), tonumber(ARGV[2])
local now, answer = now_milliseconds() / 1000, {}
redis.call('HDEL', held, '')
for i = 3, #ARGV, 3 do
    local tag, partition, waits = ARGV[i], ARGV[i + 1], ARGV[i + 2] == '1'
    local record = redis.call('HGET', held, tag)
    local list = record and unpack_record(record)
    local verdict = 0
    local place = redis.call('HGET', held, 'place:' .. tag)
    if place and place ~= partition then free(held, tag) end -- the fetch took it for another one
    if not list then
        verdict = 1
    elseif place == partition then
        room = room - 1
    else
        local wait = wait_behind_parked(list, partition, limits, now)
        if wait == 0 and (room > 0 or not waits) then
            take_place(partition, held, tag, limits, now)
            room = room - 1
        elseif waits then
            redis.call('HDEL', held, tag, 'started:' .. tag)
            park('LPUSH', list, partition, record, wait, now)
            verdict = 1
        else
            verdict = math.max(2, math.ceil(wait * 1000))
        end
    end
    answer[#answer + 1] = verdict
end
return answer
