-- Count the messages of some lists. A message that is next is looked at here: it may be an article of megabytes.
--
-- KEYS[...] lists
-- Returns {number, sent_at, eta, sent_at, eta, ...}: two headers of the message that each list gives next, found
-- without parsing it. Neither pattern can occur within a string of the message, where its quotes are escaped.

local answer = {0}
for _, list in ipairs(KEYS) do
    local length = redis.call('LLEN', list)
    if length > 0 then
        local raw = redis.call('LINDEX', list, -1)
        answer[1] = answer[1] + length
        answer[#answer + 1] = string.match(raw, '"sent_at"%s*:%s*"([^"]*)"') or ''
        answer[#answer + 1] = string.match(raw, '"eta"%s*:%s*"([^"]*)"') or ''
    end
end
return answer
