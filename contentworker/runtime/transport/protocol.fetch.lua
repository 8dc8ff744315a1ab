-- Acknowledge messages, then take up to a limit from the first lists that have any: of each list, first those that
-- were parked and may start now.
--
-- KEYS[1] RETURNED  KEYS[2] LEASES  KEYS[3] hash of what the holder holds  KEYS[4] PAUSED  KEYS[5] REVOKED
-- KEYS[6...] lists
-- ARGV[1] holder    ARGV[2] number of the fetch, larger than any before  ARGV[3] limit
-- ARGV[4] limits as JSON, as in `admit`; empty: parked messages stay where they are
-- ARGV[5] how many more messages to take, to be sorted by `admit`, as long as they are small
-- ARGV[6] which messages may get their place at once, as JSON: queue → `of_tasks` of `places`; empty: none
-- ARGV[7...] tags to acknowledge, and what is noted beside them
-- Returns {acknowledged, tag, list, message, tag, list, message, ..., revoked, poll}: how many tags were held; each
-- message ("#" and a count after its tag: it was delivered before, and so many workers died of it; then "=" and a
-- partition: it has its place there); the highest score in REVOKED, if there is any; 1 if a list is paused or has
-- parked messages, so that more may come without a push.
-- {-1, '', 0}: nothing was taken, as the holder has no lease.

-- include records
-- include places

local returned, leases, held, paused_queues, revoked = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local holder, number, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local limits = ARGV[4] ~= '' and cjson.decode(ARGV[4])
local of_queues = ARGV[6] ~= '' and cjson.decode(ARGV[6]) or {}
local now = limits and now_milliseconds() / 1000
local acknowledged = #ARGV > 6 and acknowledge(held, {unpack(ARGV, 7)}) or 0
if redis.call('HEXISTS', leases, holder) == 0 then return {-1, '', 0} end
local cancelled = redis.call('HGET', held, 'cancelled')
if cancelled and tonumber(number) <= tonumber(cancelled) then return {acknowledged, '', 0} end
local most, bytes = limit + ARGV[5], 0
local answer, taken, poll = {acknowledged}, 0, 0
for i = 6, #KEYS do
    local list = KEYS[i]
    -- kombu puts \6 between a queue's name and a priority.
    local queue = string.match(list, '^[^\6]*')
    local of_tasks = of_queues[queue]
    local is_paused = redis.call('SISMEMBER', paused_queues, queue) == 1
    if is_paused then poll = 1 end
    if limits and not is_paused and redis.call('HEXISTS', PARKED, list) == 1 then
        poll = 1
        wake_due(list, now)
        while taken < limit do
            local record, partition = next_parked(list, limits, now)
            if not record then break end
            local _, raw, deaths = unpack_record(record)
            local tag = number .. '-' .. taken
            local marked = deaths and tag .. '#' .. deaths or tag
            redis.call('HSET', held, tag, pack(list, holder .. '/' .. marked, raw))
            take_place(partition, held, tag, limits, now)
            answer[#answer + 1] = marked .. '=' .. partition
            answer[#answer + 1] = list
            answer[#answer + 1] = raw
            taken = taken + 1
        end
    end
    local marks = nil -- not looked for yet; false: the list has none
    while (taken < limit or taken < most and bytes < SORTED_BYTES) and not is_paused do
        local raw = redis.call('RPOP', list)
        if not raw then
            if marks then redis.call('DEL', marks) end
            break
        end
        bytes = bytes + #raw
        if marks == nil then
            marks = returned .. list
            marks = redis.call('EXISTS', marks) == 1 and marks
        end
        local tag = number .. '-' .. taken
        local marked = tag
        if marks then
            local digest = redis.sha1hex(raw)
            local deaths = redis.call('HGET', marks, digest)
            if deaths then
                redis.call('HDEL', marks, digest)
                marked = tag .. '#' .. deaths
            end
        end
        redis.call('HSET', held, tag, pack(list, holder .. '/' .. marked, raw))
        local partition = of_tasks and taken < limit and partition_in(raw, of_tasks)
        if partition and wait_behind_parked(list, partition, limits, now) == 0 then
            take_place(partition, held, tag, limits, now)
            marked = marked .. '=' .. partition
        end
        answer[#answer + 1] = marked
        answer[#answer + 1] = list
        answer[#answer + 1] = raw
        taken = taken + 1
    end
end
answer[#answer + 1] = redis.call('ZRANGE', revoked, -1, -1, 'WITHSCORES')[2] or ''
answer[#answer + 1] = poll
return answer
