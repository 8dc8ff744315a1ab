-- Give up a claim. Returns 0 if no key has it, else 1.
--
-- KEYS[...] where the claim may be
-- ARGV[1] the claim

for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then return redis.call('DEL', key) end
end
return 0
