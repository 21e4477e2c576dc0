// The three scripts of redisStore: the rules of rules.ts in Lua, so that checks and changes are one step on the server. All give the same
// answer when they are run again with the same arguments: clients resend what was not answered.
//
// One record is a hash: g generation, i instance, c commit, r received, b base, s sent, o owner, t tenure, l live, n identity, d state,
// f offset of the outbox's first byte, x tombstone. Its outbox is a string beside it, in the same slot. Numbers are compared as doubles,
// which are exact up to 2^53-1, and stored as they came: Lua would round them when it writes them.

/**
 * KEYS record, outbox. ARGV owner, generation, instance, held tenure or '', exclusive, keepMs, [received, base, sent of the peer].
 * Answers the status and its numbers; claimed, where nothing was held: g i c r b s n d outbox.
 */
export const CLAIM_SCRIPT: string = `
local n = tonumber
local m = redis.call('HMGET', KEYS[1], 'g', 'i', 'c', 'r', 'b', 's', 'o', 't', 'l', 'x')
local g, i, c, r, b, s, o, t, l, x = m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10]
if not g then return {'gone'} end
if x then return {'ended', x} end
local owner, generation, instance, held = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local tenure = held == '' and generation or held
if not (g == generation and i == instance and o == owner and t == tenure) then
  if held ~= '' and t ~= held then
    if n(t) > n(held) then return {'fenced', g} end
    return {'behind', c}
  end
  if n(generation) <= n(g) or (instance ~= i and n(instance) <= n(g)) then return {'stale', g, i} end
  if held == '' then
    if ARGV[5] == '1' and l == '1' and o ~= owner then return {'live', o, r, b, s} end
    if ARGV[7] then
      local received, base, sent = n(ARGV[7]), n(ARGV[8]), n(ARGV[9])
      local fit = n(b) <= received and received <= n(s) and base <= n(r) and n(r) <= sent
      if not fit then return {'lost', r, b, s} end
    end
  end
end
redis.call('HSET', KEYS[1], 'g', generation, 'i', instance, 'o', owner, 't', tenure, 'l', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if held ~= '' then return {'claimed'} end
local fixed = redis.call('HMGET', KEYS[1], 'n', 'd', 'f')
local outbox = redis.call('GETRANGE', KEYS[2], n(b) - n(fixed[3]), -1)
return {'claimed', generation, instance, c, r, b, s, fixed[1], fixed[2], outbox}`;

/**
 * Functions of the scripts that commit. `a`: the place in ARGV behind which owner, tenure, keepMs and the arguments of a commit stand.
 * judge() gives the answer where nothing is to be applied, and the fields that apply() goes on with.
 */
const COMMIT: string = `
local n = tonumber
local function judge(record, a)
  local m = redis.call('HMGET', record, 'g', 'i', 'f', 'c', 't', 'x')
  local g, c, t, x = m[1], m[4], m[5], m[6]
  local tenure, commit, whole = ARGV[a + 2], ARGV[a + 4], ARGV[a + 13] == '1'
  if not g then return {'gone'} end
  if n(t) > n(tenure) then return {'fenced', g} end
  if x then return {'gone'} end
  if t == tenure and n(commit) <= n(c) then return {'done'} end
  if not whole and (t ~= tenure or n(commit) ~= n(c) + 1) then return {'behind', c} end
  return nil, m
end
local function apply(record, out, a, m, live)
  local g, i, f = m[1], m[2], m[3]
  local owner, tenure, keep, commit = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  local base, outbox, from = ARGV[a + 8], ARGV[a + 11], ARGV[a + 12]
  if n(ARGV[a + 5]) > n(g) then g, i = ARGV[a + 5], ARGV[a + 6] end
  if ARGV[a + 13] == '1' then
    redis.call('DEL', out)
    f = from
  end
  if outbox ~= '' then redis.call('APPEND', out, outbox) end
  -- Bytes below base go when they are half of all: each is copied once more at most.
  local length, done = redis.call('STRLEN', out), n(base) - n(f)
  if done > 0 and done >= length then
    redis.call('DEL', out)
    f = base
  elseif done > 0 and done * 2 >= length then
    redis.call('SET', out, redis.call('GETRANGE', out, done, -1))
    f = base
  end
  redis.call('HSET', record, 'g', g, 'i', i, 'c', commit, 'r', ARGV[a + 7], 'b', base, 's', ARGV[a + 9], 'o', owner, 't', tenure,
    'l', live, 'd', ARGV[a + 10], 'f', f)
  redis.call('PEXPIRE', record, keep)
  redis.call('PEXPIRE', out, keep)
end`;

/** KEYS record and outbox of each. ARGV for each: owner, tenure, keepMs, and as commit below. Answers a status for each, and a number. */
export const COMMIT_ALL_SCRIPT: string = `${COMMIT}
local answers, fields, good = {}, {}, true
for k = 1, #KEYS / 2 do
  local refusal, m = judge(KEYS[2 * k - 1], 13 * (k - 1))
  answers[k], fields[k] = refusal or {'done'}, m or false
  good = good and answers[k][1] == 'done'
end
for k = 1, #KEYS / 2 do
  if good and fields[k] then apply(KEYS[2 * k - 1], KEYS[2 * k], 13 * (k - 1), fields[k], '1') end
end
return answers`;

/**
 * KEYS record, outbox. ARGV what, owner, tenure, keepMs, then
 * create: instance, received, base, sent, identity, state, outbox.
 * commit, release: commit, generation, instance, received, base, sent, state, outbox, from, whole.
 * remove: tombstone.
 */
export const WRITE_SCRIPT: string = `${COMMIT}
local what, owner, tenure, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if what == 'commit' or what == 'release' then
  local refusal, m = judge(KEYS[1], 1)
  if refusal then return refusal end
  apply(KEYS[1], KEYS[2], 1, m, what == 'commit' and '1' or '0')
  return {'done'}
end

local m = redis.call('HMGET', KEYS[1], 'g', 'o', 't', 'x')
local g, o, t, x = m[1], m[2], m[3], m[4]
if what == 'create' then
  if g then return {(not x and o == owner and t == tenure) and 'created' or 'exists'} end
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'g', tenure, 'i', ARGV[5], 'c', '1', 'r', ARGV[6], 'b', ARGV[7], 's', ARGV[8], 'o', owner, 't', tenure,
    'l', '1', 'n', ARGV[9], 'd', ARGV[10], 'f', ARGV[7])
  if ARGV[11] ~= '' then redis.call('SET', KEYS[2], ARGV[11], 'PX', keep) end
  redis.call('PEXPIRE', KEYS[1], keep)
  return {'created'}
end

if not g then return {'gone'} end
if n(t) > n(tenure) then return {'fenced', g} end
if x then return {t == tenure and 'done' or 'gone'} end
redis.call('DEL', KEYS[2])
if ARGV[5] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'x', ARGV[5], 'd', '')
  redis.call('PEXPIRE', KEYS[1], keep)
end
return {'done'}`;
