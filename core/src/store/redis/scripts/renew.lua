-- renew: extends what the owner still holds, and never re-creates it. One that comes late, by a connection that was given
-- up, must not take back what its holder was told since: only who asks for that has more than the ttl cut down to it.
--
-- KEYS  1 K the lock
-- ARGV  1 owner   2 ttl in ms   3 '1' to cut more than that down to it
-- Reply 1 extended, 2 held for longer than that already, 0 nobody holds it, -1 someone else does

local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  if ARGV[3] ~= '1' and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
    return 2
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return redis.call('EXISTS', KEYS[1]) -- 1; a caller who has K watched is told of what comes after a read, and this is one
end
return holder and -1 or 0
