-- Claim a run of a task for a delivery, unless there is a claim, and say what became of that one.
--
-- KEYS[1] claim of the run    KEYS[2] claim for these arguments, used where others have the first
-- KEYS[3] hash of the leases  KEYS[4] hash of what the holder holds
-- ARGV[1] holder  ARGV[2] tag of its delivery  ARGV[3] seconds until the claim expires
-- ARGV[4] digest of the task's name and arguments  ARGV[5] start of the keys of what holders hold
-- Returns 'claimed', 'claimed beside another', 'not held', 'running', 'done', 'interrupted' or 'unknown'
--
-- A claim is "1\n<holder>\n<tag>\n<digest>", or "1\ndone\n\n<digest>" in the end. The release before wrote no
-- digest, and takes a claim with one for interrupted.

local function parsed(claim) return string.match(claim, '^1\n([^\n]*)\n([^\n]*)\n?([^\n]*)$') end
local own = '1\n' .. ARGV[1] .. '\n' .. ARGV[2] .. '\n' .. ARGV[4]
redis.call('HDEL', KEYS[3], '') -- a full server refuses a script that begins with a write that may grow
if redis.call('HEXISTS', KEYS[4], ARGV[2]) == 0 then return 'not held' end
local key, claim = KEYS[2], redis.call('GET', KEYS[2])
if not claim then
    claim = redis.call('GET', KEYS[1])
    local digest = claim and select(3, parsed(claim)) or ''
    if digest == '' or digest == ARGV[4] then key = KEYS[1] else claim = false end
end
if not claim or claim == own then
    redis.call('SET', key, own, 'EX', ARGV[3])
    return key == KEYS[2] and 'claimed beside another' or 'claimed'
end
local holder, tag = parsed(claim)
if not holder then return 'unknown' end
if holder == 'done' then return 'done' end
if redis.call('HEXISTS', KEYS[3], holder) == 1
    and redis.call('HEXISTS', ARGV[5] .. holder, tag) == 1 then return 'running' end
return 'interrupted'
