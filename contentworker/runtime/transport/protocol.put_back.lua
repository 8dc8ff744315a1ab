-- A function that puts back what a holder holds. Include `records` and `places` first.

-- Put what a holder holds back at the front of the lists, in the order in which it was there.
-- added: 1 if the holder died, 0 if not; nil: no consumer has had these messages.
-- wanted: only what the fetch of this number took; nil: everything.
-- Returns how many went back, and how many records of another version stay.
local function put_back(held, added, wanted)
    local records, started, places, unknown = {}, {}, {}, 0
    local fields = redis.call('HGETALL', held)
    for i = 1, #fields, 2 do
        local number, place = string.match(fields[i], '^(%d+)-(%d+)$')
        if number and (not wanted or number == wanted) then
            records[#records + 1] = {tonumber(number), tonumber(place), fields[i], fields[i + 1]}
        elseif string.sub(fields[i], 1, 8) == 'started:' then
            started[string.sub(fields[i], 9)] = true
        elseif string.sub(fields[i], 1, 6) == 'place:' then
            places[string.sub(fields[i], 7)] = true
        end
    end
    table.sort(records, function(a, b)
        if a[1] ~= b[1] then return a[1] > b[1] end
        return a[2] > b[2]
    end)
    local moved = 0
    for _, record in ipairs(records) do
        local tag = record[3]
        local list, raw, deaths = unpack_record(record[4])
        if list then
            local partition = places[tag] and free(held, tag)
            redis.call('HDEL', held, tag, 'started:' .. tag)
            if added then
                -- After the first death only what had been started counts: the rest only stood in line.
                local again = (deaths or 0) > 0 or string.match(raw, '^{"deliveries":%d+,')
                deaths = (deaths or 0) + ((started[tag] or not again) and added or 0)
            end
            put_in_front(list, raw, deaths, partition)
            moved = moved + 1
        else
            unknown = unknown + 1
        end
    end
    return moved, unknown
end
