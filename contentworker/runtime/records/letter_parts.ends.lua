-- How many dead letters there are, and the ids of the first and the last, without reading their messages.
--
-- KEYS[1] stream of the letters
-- Returns {number, first id, last id}; {0} if there are none

local function id(command, from, to)
    local entry = redis.call(command, KEYS[1], from, to, 'COUNT', 1)[1]
    return entry and entry[1]
end
return {redis.call('XLEN', KEYS[1]), id('XRANGE', '-', '+'), id('XREVRANGE', '+', '-')}
