-- Mark a claim as done. Returns 0 if no key has that claim, else 1.
--
-- KEYS[...] where the claim may be
-- ARGV[1] the claim  ARGV[2] the claim when done  ARGV[3] seconds until it expires

for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        redis.call('DEL', key) -- a full server refuses a script that begins with a write that may grow
        redis.call('SET', key, ARGV[2], 'EX', ARGV[3])
        return 1
    end
end
return 0
