-- Count the messages of some lists. A message that is next is looked at here: it may be an article of megabytes.
--
-- KEYS[1] hash: list -> how many of its messages are parked for their limits  KEYS[2] start of the transport's keys
-- KEYS[3...] lists
-- Returns {number, how many of them are parked, sent_at, eta, sent_at, eta, ...}: two headers of the message that each
-- list gives next, and of the oldest of each limit's key, found without parsing it. Neither pattern can occur within a
-- string of the message, where its quotes are escaped.

-- Most keys of limits that are looked at, of those whose turn is next and of those that wait.
local LOOKED_AT = 50
-- After this many bytes of them no more are looked at: a megabyte can take 40 ms, in which Redis serves no one else.
local MOST_BYTES = 2000000

local answer, bytes = {0, 0}, 0

local function look_at(raw)
    answer[#answer + 1] = raw and string.match(raw, '"sent_at"%s*:%s*"([^"]*)"') or ''
    answer[#answer + 1] = raw and string.match(raw, '"eta"%s*:%s*"([^"]*)"') or ''
end

for i = 3, #KEYS do
    local list = KEYS[i]
    local length = redis.call('LLEN', list)
    if length > 0 then
        answer[1] = answer[1] + length
        look_at(redis.call('LINDEX', list, -1))
    end
    local parked = tonumber(redis.call('HGET', KEYS[1], list) or 0)
    if parked > 0 then
        answer[1] = answer[1] + parked
        answer[2] = answer[2] + parked
        for _, partitions in ipairs({
            redis.call('LRANGE', KEYS[2] .. ':ready:' .. list, 0, LOOKED_AT - 1),
            redis.call('ZRANGE', KEYS[2] .. ':blocked:' .. list, 0, LOOKED_AT - 1),
        }) do
            for _, partition in ipairs(partitions) do
                if bytes >= MOST_BYTES then break end
                local raw = redis.call('LINDEX', KEYS[2] .. ':parked:' .. list .. '\n' .. partition, -1)
                bytes = bytes + (raw and #raw or 0)
                look_at(raw)
            end
        end
    end
end
return answer
