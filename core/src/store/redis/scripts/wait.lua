-- wait: takes a free name, claims a granted one, or queues; the same script re-checks and retries.
--
-- KEYS  1 K the lock (string: owner, or '||shared')   2 Q its queue (sorted set)   3 F the token counter (string)
-- ARGV  1 owner   2 ttl in ms   3 inbox   4 place already held in the queue, or ''   5 '1' to queue, '0' not to
--       6 '1' where this may be the first claim of a grant: what is left of the claim window is cut down to a shorter ttl
--       7 how many may hold the name beside and with it: '0' any number (shared), n that many; missing: '1', exclusive
-- Reply {1, token, lost}                           acquired, for the ttl or what is left of more
--       {0, pttl, place, head, waiters, count, lost}
--                                                  held by another (pttl: the ms that the next in line has to watch, -1: there
--                                                  is no end; place 0: not queued; head 1: the next in line, plus 2: the
--                                                  holder is no leaselock's, and will tell nobody)
--       {2}                                        many waiters were passed over: ask again
--       lost 1: the place that was named was not in the queue any more, and others may have lost theirs with it

local K, Q, F = KEYS[1], KEYS[2], KEYS[3]
local owner, ttl, place, queue = ARGV[1], ARGV[2], tonumber(ARGV[4]), ARGV[5] == '1'
local limit = tonumber(ARGV[7] or '1')
local member = '1|' .. ARGV[3] .. '|' .. limit .. '|' .. owner

--@include token.lua
--@include holder.lua

local claimed
if holder == owner then
  -- One that comes late, by a connection that was given up, must not take back what its holder was told since.
  local longer = redis.call('PTTL', K) > tonumber(ttl)
  local cut = longer and ARGV[6] == '1'
  if cut or not longer then
    redis.call('PEXPIRE', K, ttl)
  end
  claimed = {1, next_token(), 0}
  if redis.call('ZREM', Q, member) == 1 then
    redis.call('PEXPIRE', Q, string.format('%.0f', ttl + 90000))
  end
  -- The head was told of the claim window: of a shorter ttl it has to hear, or it looks too late.
  if not cut or redis.call('EXISTS', Q) == 0 then
    return claimed
  end
end

if not holder and limit == 1 and redis.call('EXISTS', Q) == 0 then
  local token = next_token()
  redis.call('SET', K, owner, 'PX', ttl)
  return {1, token, place and 1 or 0}
end

--@include holders.lua

-- Takes what it was found to be admitted to.
local function acquire(lost)
  local token = next_token()
  admit(owner, limit, ttl)
  if holder == SHARED then
    follow(holding == 1 and ttl)
  end
  return {1, token, lost}
end

-- The common case of one who shares.
local ends = holder == SHARED and redis.call('ZSCORE', H, owner)
if not ends and admits(limit) and redis.call('EXISTS', Q) == 0 then
  return acquire(place and 1 or 0)
end

--@include hand_over.lua

if claimed then
  tell_head()
  return claimed
end

if ends then
  local longer = ends - ms() > tonumber(ttl)
  local cut = longer and ARGV[6] == '1'
  if cut or not longer then
    extend(owner, ttl)
  end
  claimed = {1, next_token(), 0}
  if redis.call('ZREM', Q, member) == 1 then
    keep_queue()
  end
  if cut then
    tell_head()
  end
  return claimed
end

-- Drops a few waiters whose processes have gone: while the name is held, nobody else does. Returns whether the head was one.
local function prune(known)
  local waiting = redis.call('ZCARD', Q)
  local few = redis.call('ZRANGE', Q, 0, 7)
  if known and waiting > 8 then
    -- pcall: a user without the right stays in the queue all the same. An error has nobody in it.
    local others = redis.pcall('ZRANDMEMBER', Q, math.min(math.ceil(waiting / 8), 92))
    for _, other in ipairs(others) do
      few[#few + 1] = other
    end
  end
  local head = few[1]
  local dropped = false
  for _, gone in ipairs(find_gone(few)) do
    if gone ~= member then
      redis.call('ZREM', Q, gone)
      dropped = dropped or gone == head
    end
  end
  return dropped
end

local known = redis.call('ZSCORE', Q, member)
local lost = place and not known and 1 or 0
local counted = count()
if not (known and place) then
  redis.call('SET', F, string.format('%.0f', counted))
end
-- Who names its place only looks. A server that is out of memory refuses a script whose first write needs some, and whoever
-- waits stays. A newcomer to a shared name looks as well: a dead writer may be all that is before it.
local dropped = holder and (known or holder == SHARED) and prune(known)
if not known and queue then
  local score = place
  if not score then
    local last = redis.call('ZREVRANGE', Q, 0, 0, 'WITHSCORES')[2]
    score = last and math.max(now(), last + 1) or now()
  end
  redis.call('ZADD', Q, string.format('%.0f', score), member)
end

local token, popped, more = hand_over(member, ttl)
if dropped and not popped then
  tell_head()
end
if token then
  return {1, token, lost}
end
if more then
  return {2}
end
if admits(limit) and redis.call('EXISTS', Q) == 0 then
  return acquire(lost)
end

local pttl = keep_queue()
local score = redis.call('ZSCORE', Q, member)
local first = redis.call('ZRANGE', Q, 0, 0)[1]
local head = first == member and 1 or 0
if holder == SHARED then
  pttl = watch(first and limit_of(first) or limit)
else
  -- Owners of leaselock end in 32 hex digits, the 13th an 'f', behind a label and a colon or alone.
  local id = string.match(string.sub(holder or '', -33), '^:?([0-9a-f]+)$')
  if holder and not (id and #id == 32 and string.sub(id, 13, 13) == 'f') then
    head = head + 2
  end
end
return {0, pttl, score and tonumber(score) or 0, head, redis.call('ZCARD', Q), counted, lost}
