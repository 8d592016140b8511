-- wait: takes a free name, claims a granted one, or queues; the same script re-checks and retries.
--
-- KEYS  1 K the lock (string: owner)   2 Q its queue (sorted set)   3 F the token counter (string)
-- ARGV  1 owner   2 ttl in ms   3 client id   4 place already held in the queue, or ''   5 '1' to queue, '0' not to
-- Reply {1, token}                                 acquired, for the full ttl
--       {0, pttl, place, head (0 or 1), waiters, count}
--                                                  held by another (pttl -1: no expiry; place 0: not queued)
--       {2}                                        many dead waiters were passed over: ask again

local K, Q, F = KEYS[1], KEYS[2], KEYS[3]
local owner, ttl, place, queue = ARGV[1], ARGV[2], ARGV[4], ARGV[5] == '1'
local member = '1|' .. ARGV[3] .. '|' .. owner

--@include token.lua

local holder = redis.call('GET', K)

local claimed
if holder == owner then
  redis.call('PEXPIRE', K, ttl)
  claimed = {1, next_token()}
  if redis.call('ZREM', Q, member) == 1 then
    redis.call('PEXPIRE', Q, string.format('%.0f', ttl + 90000))
  end
  -- The head was told of the claim window: of a shorter ttl it has to hear, or it looks too late.
  if tonumber(ttl) >= 2000 or redis.call('EXISTS', Q) == 0 then
    return claimed
  end
end

if not holder and redis.call('EXISTS', Q) == 0 then
  local token = next_token()
  redis.call('SET', K, owner, 'PX', ttl)
  return {1, token}
end

--@include hand_over.lua

if claimed then
  tell_head()
  return claimed
end

local counted = count()
redis.call('SET', F, string.format('%.0f', counted))

if queue and not redis.call('ZSCORE', Q, member) then
  local score = tonumber(place)
  if not score then
    local last = redis.call('ZREVRANGE', Q, 0, 0, 'WITHSCORES')[2]
    score = last and math.max(now(), last + 1) or now()
  end
  redis.call('ZADD', Q, string.format('%.0f', score), member)
end

if not holder then
  local outcome = hand_over(member)
  if outcome == 'asking' or outcome == 'empty' then
    local token = next_token()
    redis.call('SET', K, owner, 'PX', ttl)
    tell_head()
    return {1, token}
  end
  if outcome == 'more' then
    keep_queue()
    return {2}
  end
end

local pttl = keep_queue()
local score = redis.call('ZSCORE', Q, member)
local head = redis.call('ZRANGE', Q, 0, 0)[1] == member
return {0, pttl, score and tonumber(score) or 0, head and 1 or 0, redis.call('ZCARD', Q), counted}
