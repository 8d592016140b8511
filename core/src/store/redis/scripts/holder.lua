-- Who holds the name, KEYS[1]. Included by wait.lua, release.lua and keep.lua.

-- In K while a hand-over goes on in another script: no owner, which ends in 32 hex digits.
local HANDING_OVER = 'leaselock:handing-over'
-- In K while the name is shared: who holds it is in H. No owner begins with '||'.
local SHARED = '||shared'

local holder = redis.call('GET', KEYS[1])
if holder == HANDING_OVER then
  holder = false
end
