-- Functions for limits: the places of running tasks, and the messages that wait for one. Include `records` first.
-- KEYS[1] of each script that includes them is RETURNED.
--
-- A *partition* is what one limit counts together: its name, a colon, and the value of its key. A message of a
-- partition takes a place when a worker may run it: the field `place:TAG` beside the held message names the partition,
-- and each step that removes the held message frees the place. A message that may not start is parked: moved, as a
-- record, into a list of its partition. Each list of a queue that has parked messages has their partitions either in
-- `ready:LIST`, in turn, or in `blocked:LIST`, by the moment at which to look again. Nothing here looks through them.

-- include protocol.rate

-- A partition that waits is looked at again after this long, although a place that is freed wakes it: its limit may be
-- gone or raised, and a worker of an older release that puts back what a dead one held leaves its places taken.
local LOOK_AGAIN_SECONDS = 300

-- Most partitions that one fetch looks at.
local LOOKED_AT = 10

-- A fetch takes no more messages to be sorted after this many bytes.
local SORTED_BYTES = 1000000

-- Longest key that a fetch looks at.
local MOST_KEY_BYTES = 1024

local BASE = string.sub(KEYS[1], 1, -#'returned:' - 1)
local PARKED, LIMITS = BASE .. 'parked', BASE .. 'limits'

local function limit_of(partition) return string.match(partition, '^[^:]*') end
local function parked_in(list, partition) return BASE .. 'parked:' .. list .. '\n' .. partition end

-- How a place names its holder and message.
local function member_of(held, tag) return string.sub(held, #BASE + #'held:' + 1) .. '/' .. tag end

local function count_down(hash, field)
    if redis.call('HINCRBY', hash, field, -1) <= 0 then redis.call('HDEL', hash, field) end
end

local function leave(partition, member)
    if redis.call('ZREM', BASE .. 'places:' .. partition, member) == 1 then
        count_down(LIMITS, 'taken:' .. limit_of(partition))
        return true
    end
end

-- Free the place of a held message, and let those that wait for it start. Returns its partition, if it has a place.
local function free(held, tag)
    local partition = redis.call('HGET', held, 'place:' .. tag)
    if not partition then return nil end
    redis.call('HDEL', held, 'place:' .. tag)
    if leave(partition, member_of(held, tag)) then
        for _, list in ipairs(redis.call('SMEMBERS', BASE .. 'waits:' .. partition)) do
            if redis.call('ZREM', BASE .. 'blocked:' .. list, partition) == 1 then
                redis.call('LPUSH', BASE .. 'ready:' .. list, partition)
            end
        end
    end
    return partition
end

-- Delete held messages, and what is noted beside them. Returns how many fields were there, besides places.
local function acknowledge(held, fields)
    for _, field in ipairs(fields) do
        if string.sub(field, 1, 6) == 'place:' then free(held, string.sub(field, 7)) end
    end
    return redis.call('HDEL', held, unpack(fields))
end

-- Returns seconds until one more message of a partition may start; 0: now.
-- limits: name → {concurrency, rate, seconds of the rate}, each 0 for none.
local function wait_seconds(partition, limits, now)
    local limit = limits[limit_of(partition)]
    if not limit then return 0 end -- it is no longer in the settings
    local places = BASE .. 'places:' .. partition
    while limit[1] > 0 and redis.call('ZCARD', places) >= limit[1] do
        local member = redis.call('ZRANGE', places, 0, 0)[1]
        local holder, tag = string.match(member, '^(.*)/(%d+%-%d+)$')
        if redis.call('HEXISTS', BASE .. 'held:' .. holder, tag) == 1 then
            redis.call('ZADD', places, now, member) -- the next time another one is looked at
            return LOOK_AGAIN_SECONDS
        end
        redis.call('HDEL', BASE .. 'held:' .. holder, 'place:' .. tag)
        leave(partition, member)
    end
    if limit[2] == 0 then return 0 end
    return math.min(rate_wait(BASE .. 'rate:' .. partition, limit[2], limit[3], now), LOOK_AGAIN_SECONDS)
end

-- The same for a message of a list, which starts after those of its partition that are parked there.
local function wait_behind_parked(list, partition, limits, now)
    if redis.call('EXISTS', parked_in(list, partition)) == 1 then return LOOK_AGAIN_SECONDS end
    return wait_seconds(partition, limits, now)
end

-- The partition of a message that is to run now, where its bytes show it as Celery writes them; else nil. The worker
-- reads the whole message and has the last word, so what a sender hides here costs no more than one step.
-- of_tasks: task → {limit, what stands before its key}, {limit} without a key, {} without a limit; "" for others.
local function partition_in(raw, of_tasks)
    local from = string.find(raw, '"headers": {', 1, true)
    if not from or not string.find(raw, '"eta": null', from, true) then return nil end
    local task = string.match(raw, '"task": "([^"\\]*)"', from)
    local limit = task and (of_tasks[task] or of_tasks[''])
    if not limit or #limit == 0 then return nil end
    if #limit == 1 then return limit[1] .. ':' end
    local _, at = string.find(raw, limit[2], from, true)
    if not at then return nil end
    local key = string.match(raw, '^"([^"\\%c\128-\255]*)"', at + 1) or string.match(raw, '^(%d+)[,}]', at + 1)
    return key and #key <= MOST_KEY_BYTES and limit[1] .. ':' .. key or nil
end

-- Give a held message its place.
local function take_place(partition, held, tag, limits, now)
    local name = limit_of(partition)
    local limit = limits[name]
    if not limit then return end
    redis.call('HSET', held, 'place:' .. tag, partition)
    if limit[1] > 0 and redis.call('ZADD', BASE .. 'places:' .. partition, now, member_of(held, tag)) == 1 then
        redis.call('HINCRBY', LIMITS, 'taken:' .. name, 1)
    end
    if limit[2] > 0 then rate_count(BASE .. 'rate:' .. partition, limit[2], limit[3], now) end
end

-- Park a record: behind the others of its partition with LPUSH, before them with RPUSH.
-- wait: seconds until it is looked at, if it is the only one; 0: it is next in its turn.
local function park(push, list, partition, record, wait, now)
    if redis.call(push, parked_in(list, partition), record) == 1 then
        redis.call('SADD', BASE .. 'waits:' .. partition, list)
        if wait > 0 then
            redis.call('ZADD', BASE .. 'blocked:' .. list, now + wait, partition)
        else
            redis.call('LPUSH', BASE .. 'ready:' .. list, partition)
        end
    end
    redis.call('HINCRBY', PARKED, list, 1)
    redis.call('HINCRBY', LIMITS, 'waiting:' .. limit_of(partition), 1)
end

-- Put a message that was held at the front of its list; one that had a place waits before the others of its partition.
local function put_in_front(list, raw, deaths, partition)
    if partition then
        local origin = deaths and 'returned#' .. deaths or 'returned'
        park('RPUSH', list, partition, pack(list, origin, raw), 0)
    else
        put('RPUSH', list, raw, deaths)
    end
end

-- Note that a record of a partition is no longer parked. Returns whether it was the last one in its list.
local function count_unparked(list, partition)
    count_down(PARKED, list)
    count_down(LIMITS, 'waiting:' .. limit_of(partition))
    local is_last = redis.call('EXISTS', parked_in(list, partition)) == 0
    if is_last then redis.call('SREM', BASE .. 'waits:' .. partition, list) end
    return is_last
end

-- Take one parked record, the oldest or the newest. Returns nil if there is none, and whether it was the last.
local function unpark(list, partition, newest)
    local key = parked_in(list, partition)
    local record
    if newest then record = redis.call('LINDEX', key, 0) else record = redis.call('RPOP', key) end
    if not record then return nil, true end
    if newest then redis.call('LREM', key, 1, record) end
    return record, count_unparked(list, partition)
end

-- Let the partitions start whose moment has come; a moment that is too far away was of a clock that was ahead.
local function wake_due(list, now)
    local blocked = BASE .. 'blocked:' .. list
    local function wake(from, to)
        for _, partition in ipairs(redis.call('ZRANGEBYSCORE', blocked, from, to, 'LIMIT', 0, LOOKED_AT)) do
            redis.call('ZREM', blocked, partition)
            redis.call('LPUSH', BASE .. 'ready:' .. list, partition)
        end
    end
    wake('-inf', now)
    wake(now + LOOK_AGAIN_SECONDS + 1, '+inf')
end

-- Take the next parked record of a list that may start. Returns it and its partition, or nil; looks at few partitions.
local function next_parked(list, limits, now)
    for _ = 1, LOOKED_AT do
        local partition = redis.call('RPOP', BASE .. 'ready:' .. list)
        if not partition then return nil end
        local wait = wait_seconds(partition, limits, now)
        if wait > 0 then
            redis.call('ZADD', BASE .. 'blocked:' .. list, now + wait, partition)
        else
            local record, is_last = unpark(list, partition)
            if not is_last then redis.call('LPUSH', BASE .. 'ready:' .. list, partition) end
            if record then return record, partition end
        end
    end
end

-- Take at most `most` parked records of a list, the newest of each partition first, and pass each message to a
-- function. Returns how many.
local function unpark_some(list, most, pass_on)
    local number = 0
    for _, name in ipairs({BASE .. 'ready:' .. list, BASE .. 'blocked:' .. list}) do
        local is_ready = name == BASE .. 'ready:' .. list
        while true do -- always the first: to look for one in the middle would take as long as there are partitions
            local partition
            if is_ready then
                partition = redis.call('LINDEX', name, 0)
            else
                partition = redis.call('ZRANGE', name, 0, 0)[1]
            end
            if not partition then break end
            local is_last = false
            while not is_last do
                if number >= most then return number end
                local record
                record, is_last = unpark(list, partition, true)
                if record then
                    number = number + 1
                    local _, raw, deaths = unpack_record(record)
                    if pass_on then pass_on(raw, deaths) end
                end
            end
            redis.call(is_ready and 'LREM' or 'ZREM', name, unpack(is_ready and {1, partition} or {partition}))
        end
    end
    return number
end
