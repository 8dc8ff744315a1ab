-- One rate: at most `most` events in any `seconds`, for limits of tasks and for paid calls.
--
-- A sliding window log, as a list of the last `most` moments, the newest first: one more may come once the oldest of
-- them has left the window. That is exact, and O(1).

-- Returns seconds until the next may come; 0: now.
local function rate_wait(key, most, seconds, now)
    local oldest = tonumber(redis.call('LINDEX', key, most - 1))
    if not oldest or oldest + seconds <= now then return 0 end
    if tonumber(redis.call('LINDEX', key, 0)) > now + 1 then -- the clock was ahead, and was put right
        redis.call('DEL', key)
        return 0
    end
    return oldest + seconds - now
end

local function rate_count(key, most, seconds, now)
    if redis.call('LPUSH', key, string.format('%.6f', now)) > most then redis.call('RPOP', key) end
    redis.call('EXPIRE', key, math.ceil(seconds) + 1)
end
