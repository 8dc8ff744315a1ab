-- Functions that count records of messages by their list.

local counts, bytes = {}, 0

local function count(record)
    local list = string.match(record, '^1\n([^\n]*)\n')
    if list then counts[list] = (counts[list] or 0) + 1 end
    bytes = bytes + #record
end

-- Returns {at, list, number, list, number, ...}
local function counted(at)
    local answer = {at}
    for list, number in pairs(counts) do
        answer[#answer + 1] = list
        answer[#answer + 1] = number
    end
    return answer
end
