-- Read the newest dead letters, without their messages, which may be articles.
--
-- KEYS[1] stream of the letters
-- ARGV[1] how many
-- Returns {id, reason, queue, task, id, reason, queue, task, ...}

local answer = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])) do
    local letter = entry[2][2] or ''
    answer[#answer + 1] = entry[1]
    -- The patterns occur in no string within the letter, whose quotes are escaped.
    for _, name in ipairs({'reason', 'queue', 'task'}) do
        answer[#answer + 1] = string.match(letter, '"' .. name .. '"%s*:%s*"([^"\\]*)"') or ''
    end
end
return answer
