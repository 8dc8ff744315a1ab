-- Where some runs stand, without what they keep: that may be an article of megabytes.
--
-- KEYS[...] hashes of runs
-- Returns {{subject, step, when it was reached, when it began}, ...}; an empty list for a run that is gone

local answer = {}
for index, key in ipairs(KEYS) do
    local run = {}
    local step = redis.call('HGET', key, 'step')
    if step then
        local began
        for _, field in ipairs(redis.call('HKEYS', key)) do
            if string.sub(field, 1, 3) == 'at:' then
                local at = redis.call('HGET', key, field)
                if not began or tonumber(at) < tonumber(began) then began = at end
            end
        end
        run = {redis.call('HGET', key, 'subject'), step, redis.call('HGET', key, 'at:' .. step), began}
    end
    answer[index] = run
end
return answer
