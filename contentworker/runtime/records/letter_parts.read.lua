-- Parts of some dead letters, and never the message, which may be an article of megabytes.
--
-- KEYS[1] stream of the letters
-- ARGV[1] first id  ARGV[2] last id  ARGV[3] how many  ARGV[4] bytes of the error
-- Returns {id, bytes, version, texts as they are in JSON: reason, error (its beginning), exception, queue, task,
-- task_id; '1' if critical; id of the earlier letter if the message was replayed, ...}: 11 each

local answer = {}

-- The beginning of a field's value. What is searched for occurs in no string, where quotes are escaped.
local function text(head, name, most)
    local _, last = string.find(head, '"' .. name .. '"%s*:%s*"')
    if not last then return '' end
    local part = string.sub(head, last + 1, last + most)
    local quote = string.find(part, '"', 1, true)
    while quote do
        local slashes = string.match(string.sub(part, 1, quote - 1), '\\*$')
        if #slashes % 2 == 0 then return string.sub(part, 1, quote - 1) end
        quote = string.find(part, '"', quote + 1, true)
    end
    return part
end

for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    local letter = entry[2][1] == 'letter' and entry[2][2] or ''
    local head = string.sub(letter, 1, string.find(letter, '"message"%s*:%s*"'))
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = #letter
    answer[#answer + 1] = string.match(head, '^{"version"%s*:%s*(%d+)') or ''
    answer[#answer + 1] = text(head, 'reason', 100)
    answer[#answer + 1] = text(head, 'error', tonumber(ARGV[4]))
    for _, name in ipairs({'exception', 'queue', 'task', 'task_id'}) do
        answer[#answer + 1] = text(head, name, 1000)
    end
    answer[#answer + 1] = string.find(head, '"critical"%s*:%s*true') and '1' or ''
    -- The history is the end of the letter.
    local earlier = ''
    if string.sub(letter, -2) == ']}' and string.sub(letter, -4) ~= ':[]}' then
        for id in string.gmatch(string.sub(letter, -10000), '{"id":"(%d+%-%d+)","arrived":"') do earlier = id end
    end
    answer[#answer + 1] = earlier
end
return answer
