-- renew: extends what the owner still holds, and never re-creates it. One that comes late, by a connection that was given
-- up, must not take back what its holder was told since: only who asks for that has more than the ttl cut down to it.
--
-- KEYS  1 K the lock   2 H its holders, from whoever shares it
-- ARGV  1 owner   2 ttl in ms   3 '1' to cut more than that down to it
-- Reply 1 extended, 2 held for longer than that already, 0 nobody holds it, or not this owner any more, -1 someone else does

local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  if ARGV[3] ~= '1' and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
    return 2
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return redis.call('EXISTS', KEYS[1]) -- 1; a caller who has K watched is told of what comes after a read, and this is one
end
if holder == '||shared' and KEYS[2] then
  -- Others change K and H with each of their renewals: who shares a name has neither watched.
  local time = redis.call('TIME')
  local ms = math.floor((time[1] * 1000000 + time[2]) / 1000)
  local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not ends or tonumber(ends) <= ms then
    return 0
  end
  if ARGV[3] ~= '1' and ends - ms > tonumber(ARGV[2]) then
    return 2
  end
  -- A server that is out of memory refuses a script whose first write needs some: so that is a PEXPIRE. K's time follows the
  -- latest end.
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  ends = ms + ARGV[2]
  local left = string.format('%.0f', math.max(ends, last[2]) - ms)
  redis.call('PEXPIRE', KEYS[2], left)
  redis.call('ZADD', KEYS[2], string.format('%.0f', ends), ARGV[1])
  if ends < tonumber(last[2]) and last[1] == ARGV[1] then
    last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
    left = string.format('%.0f', math.max(last[2] - ms, 1))
    redis.call('PEXPIRE', KEYS[2], left)
    redis.call('PEXPIRE', KEYS[1], left)
  elseif ends > tonumber(last[2]) then
    redis.call('PEXPIRE', KEYS[1], left)
  end
  return 1
end
return holder and -1 or 0
