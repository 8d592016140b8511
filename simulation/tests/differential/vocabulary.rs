//! The commands that sequences are made of.
//!
//! `K` is a key, `V` a value, `S` a score, `M` a member, `N` a rank, `C` a channel, `T` a time to live; what is in brackets may be
//! missing.

#[rustfmt::skip]
pub(crate) const ON_TEXTS: &[&str] = &[
    "SET K V", "SET K V [NX] [PX T]", "SET K V XX [GET]", "SET K V KEEPTTL [GET]", "SET K V PX T [NX] [GET]", "SET K V EX T",
    "GET K", "GET K", "INCR K", "INCR K",
];

#[rustfmt::skip]
pub(crate) const ON_SETS: &[&str] = &[
    "ZADD K S M", "ZADD K S M S M", "ZADD K [NX] [CH] S M", "ZADD K [XX] [GT] [CH] S M", "ZADD K [LT] [INCR] S M", "ZREM K M [M]",
    "ZCARD K", "ZSCORE K M", "ZRANK K M", "ZRANGE K N N [WITHSCORES]", "ZRANGE K N N REV [WITHSCORES]",
    "ZRANGE K -inf S BYSCORE LIMIT 0 2", "ZRANGE K S +inf BYSCORE [WITHSCORES]", "ZRANGE K S S BYSCORE [LIMIT N N]",
    "ZRANGE K +inf (S BYSCORE REV [WITHSCORES]", "ZREVRANGE K N N [WITHSCORES]", "ZRANGEBYSCORE K (S +inf [WITHSCORES]",
    "ZRANDMEMBER nothing", "ZPOPMIN K [2]", "ZREMRANGEBYSCORE K S (S",
];

#[rustfmt::skip]
pub(crate) const ON_KEYS: &[&str] = &[
    "DEL K [K]", "UNLINK K", "EXISTS K [K]", "TYPE K", "PEXPIRE K T", "PEXPIRE K T [NX]", "PEXPIRE K T GT", "PEXPIRE K T LT",
    "PEXPIRE K T XX", "PEXPIRE K -1", "EXPIRE K 100", "PEXPIREAT K 1",
    "PEXPIREAT K 4000000000000", "PEXPIREAT K 4000000000000 GT", "PEXPIREAT K 4000000000000 LT", "PEXPIREAT K 4000000000001 [GT]",
    "PTTL K", "TTL K", "PERSIST K", "PEXPIRETIME K", "DBSIZE",
    "FLUSHDB",
];

#[rustfmt::skip]
pub(crate) const ON_CHANNELS: &[&str] = &[
    "SUBSCRIBE C", "SUBSCRIBE C C", "UNSUBSCRIBE C", "SSUBSCRIBE C", "SUNSUBSCRIBE C", "PSUBSCRIBE lock*", "PUNSUBSCRIBE [lock*]",
    "PUBLISH C V", "PUBLISH C V", "SPUBLISH C V", "PUBSUB NUMSUB C [C]", "PUBSUB SHARDNUMSUB C",
];

#[rustfmt::skip]
pub(crate) const ON_TRACKING: &[&str] = &[
    "CLIENT TRACKING ON OPTIN NOLOOP", "CLIENT TRACKING ON OPTIN [NOLOOP]", "CLIENT TRACKING ON [NOLOOP]",
    "CLIENT TRACKING ON OPTOUT", "CLIENT TRACKING OFF", "CLIENT CACHING YES", "CLIENT CACHING YES", "CLIENT CACHING NO", "GET K",
];

#[rustfmt::skip]
pub(crate) const ON_TRANSACTIONS: &[&str] = &[
    "MULTI", "EXEC", "DISCARD", "WATCH K [K]", "UNWATCH",
];

#[rustfmt::skip]
pub(crate) const ON_OTHERS: &[&str] = &[
    "PING [x]", "ECHO V", "SELECT 0", "SELECT 1", "WAIT 0 0", "ROLE", "CLIENT SETNAME one", "CLIENT GETNAME", "SCRIPT EXISTS V V",
    "CLIENT SETINFO LIB-NAME leaselock", "AUTH x", "SLOWLOG GET 1 [x]", "FLUSHALL [ASYNC]", "SCRIPT FLUSH", "SCRIPT LOAD #1",
];

#[rustfmt::skip]
pub(crate) const WRONG: &[&str] = &[
    "NOTHING K V", "GET", "GET K K", "SET K", "SET K V PX 0", "SET K V PX x", "SET K V NX XX", "SET K V FOO", "SET K V PX 1 EX 1",
    "SET K V KEEPTTL PX 1", "INCR", "ZADD K x M", "ZADD K 1", "ZADD K NX XX 1 M", "ZADD K NX GT 1 M", "ZADD K INCR 1 a 2 b",
    "ZADD K 1 a 2", "ZRANGE K x 1", "ZRANGE K 0 -1 LIMIT 0 1", "ZRANGE K 0 -1 FOO", "ZRANGE K x 5 BYSCORE", "ZPOPMIN K -1",
    "ZPOPMIN K 1 2", "PEXPIRE K x", "PEXPIRE K 1 FOO", "PEXPIRE K 1 NX XX", "PEXPIRE K 1 GT LT", "PEXPIRE K 9223372036854775807",
    "CLIENT", "CLIENT NOTHING", "CLIENT CACHING", "CLIENT CACHING MAYBE", "CLIENT TRACKING MAYBE", "CLIENT SETNAME #2",
    "SELECT x", "SELECT 99", "SELECT -1", "SCRIPT NOTHING", "SCRIPT FLUSH NOW", "EVAL #1", "EVAL #1 x", "EVAL #1 2 a",
    "EVAL #1 -1", "EVALSHA x 0", "PUBSUB NUMSUB", "PUBSUB NOTHING", "PUBLISH C", "WAIT 0 x", "WAIT 0 -1", "HELLO 4", "HELLO x",
    "AUTH a b", "AUTH a b c", "SCAN x", "SCAN 0 COUNT 0", "SCAN 0 FOO", "DBSIZE x", "PING a b", "FLUSHALL NOW", "WATCH",
    "MULTI x", "SUBSCRIBE", "ZRANDMEMBER K x",
];

/// Scripts that try what the real ones do not.
#[rustfmt::skip]
pub(crate) const SNIPPETS: &[&str] = &[
    "return 1", "return {1, 2, nil, 3}", "return {1, {2, false, 'x'}, true, {}}", "return -3.99", "return '3.99'", "return true",
    "return false", "return nil", "return {ok = 'FINE'}", "return {err = 'WRONG it was'}", "return {double = 1.5}",
    "return redis.error_reply('WRONG it was')", "return redis.error_reply('-WRONG it was')", "return redis.error_reply('one')",
    "return redis.status_reply('FINE')", "return redis.call('GET', KEYS[1])", "return redis.pcall('INCR', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1]).err", "return redis.call('INCR', KEYS[1])",
    "local n = redis.call('INCR', KEYS[1])\nreturn n", "return redis.call('SET', KEYS[1], ARGV[1])",
    "return redis.call('SET', KEYS[1], 12)['ok']", "return redis.call('SET', KEYS[1], 1.5)",
    "return redis.call('SET', KEYS[1], 1e15)", "return redis.call('SET', KEYS[1], 1e17)",
    "return redis.call('SET', KEYS[1], 1/3)", "return redis.call('ZADD', KEYS[1], 1.5, 'm')",
    "return redis.call('ZSCORE', KEYS[1], 'm')", "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
    "return redis.call('ZPOPMIN', KEYS[1])", "return redis.call('GET')", "return redis.call('NOTHING')", "return redis.call()",
    "return redis.call({})", "return redis.call('MULTI')", "return nothing", "nothing = 1", "redis.call = nil",
    "string.rep = nil", "error('wrong')", "error({err = 'WRONG it was'})", "local t = nil\n\nreturn t.x", "return 1 +", "retur 1",
    "return pcall(redis.call, 'GET')", "return {pcall(error, {err = 'it'})}", "return #KEYS .. ':' .. #ARGV",
    "return tostring(1e15) .. ':' .. tostring(2^53) .. ':' .. string.format('%.0f', 2^53)", "return {2^53, 1/0, -1/0}",
    "return redis.sha1hex('x')", "return type(redis.call('PING'))", "return tostring(redis.call('GET', 'no such key'))",
    "return redis.call('PUBLISH', 'lock||inbox||x', 'hello')", "redis.call('SET', KEYS[1], 'x') return redis.call('NOTHING')",
    "return tonumber('0x10')", "return {tonumber('12abc') == nil, tonumber(' 12 ')}", "return string.match('lock||a', '^(.-)||')",
    "return {unpack(ARGV)}", "return math.max(unpack({1, 5, 3})) .. ''", "return {KEYS[1], KEYS[2], ARGV[1]}",
    "return select('#', nil, nil)", "#!lua\nreturn 1", "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 1)",
    "#!lua flags=nothing\nreturn 1", "#!other\nreturn 1", "#!lua flags=no-writes,allow-stale\nreturn redis.call('GET', KEYS[1])",
    "#!lua\n\nerror('wrong')", "#!lua", "#!lua what\nreturn 1", "return redis.call('WAIT', 0, 0)",
    "redis.call('SELECT', 1) return redis.call('SET', KEYS[1], 'there')", "return redis.call('DBSIZE')",
    "return redis.log(redis.LOG_WARNING, 'x')", "redis.call('DEL', KEYS[1]) return redis.call('EXISTS', KEYS[1])",
];
