-- Functions for records and marks. KEYS[1] of each script that includes them is RETURNED.
--
-- A record is a message outside of its list: version, list, who made the record, then the message untouched.
-- A mark counts the workers that died of a message. While the message waits in a list, its mark is in the hash
-- `RETURNED .. list`; while it is held or delayed, the mark is at the end of the record's third line ("#" and the
-- count). So a mark travels with its message and never outlives it.
--
-- Redis refuses a script on a full server if its first write may grow memory, but never stops one midway
-- (redis.io, "Lua scripts and maxmemory"; the same in 6.2). So each script begins with a write that shrinks.

-- How long the marks of a list stay after the last one was written. A mark leaves with its message; only the marks
-- of messages that another program took out of the list stay this long.
local MARK_SECONDS = 7 * 86400

local function pack(list, origin, raw) return '1\n' .. list .. '\n' .. origin .. '\n' .. raw end

-- Returns list, message and deaths (nil: never delivered); nil alone for a record of another version.
local function unpack_record(record)
    local version, list, origin, at = string.match(record, '^(%d+)\n([^\n]*)\n([^\n]*)\n()')
    if version ~= '1' then return nil end
    return list, string.sub(record, at), tonumber(string.match(origin, '#(%d+)$'))
end

-- Put a message into a list, and mark it with its number of deaths; nil: no consumer has had it, so no mark.
local function put(push, list, raw, deaths)
    redis.call(push, list, raw)
    if deaths then
        local marks, digest = KEYS[1] .. list, redis.sha1hex(raw)
        local before = tonumber(redis.call('HGET', marks, digest)) or 0
        redis.call('HSET', marks, digest, math.max(deaths, before))
        redis.call('EXPIRE', marks, MARK_SECONDS)
    end
end

-- Redis's clock in milliseconds since 1970.
local function now_milliseconds()
    local time = redis.call('TIME')
    return time[1] * 1000 + time[2] / 1000
end
