-- Lists of runs: sorted sets of ids by the time of the latest step. An entry leaves when its run has expired.

local function join(lists, id, time, lifetime)
    for _, list in ipairs(lists) do
        redis.call('ZREMRANGEBYSCORE', list, '-inf', time - lifetime)
        redis.call('ZADD', list, time, id)
        redis.call('EXPIRE', list, lifetime)
    end
end

local function now()
    local time = redis.call('TIME')
    return time[1] + time[2] / 1000000
end
