"""The Lua scripts for Redis, one for each operation. Imports the standard library only.

A session is stored under its name, KEYS[1]. Its tombstone, KEYS[2], says that it was destroyed or
renamed, and holds the nonce of the operation that did so. If that operation is sent again after a
lost reply, it finds its own nonce and knows that it has happened. The last argument is "1" if an
earlier attempt may have been executed. A name without an expiry is no session: scs's go-redis store
leaves such a name behind if it commits after the deadline.

Every script begins with ``#!lua``. Without that, a replica would run it up to its first write and
answer "no session". Scripts with ``allow-oom`` work when the memory is full. All need Redis 7.0.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final


@dataclass(frozen=True)
class Script:
    """A Lua script and what may be done with it."""

    body: str
    #: Whether it may be sent again after its reply was lost.
    repeatable: bool = True
    #: Whether it has to work when the server's memory is full.
    when_full: bool = True
    #: Whether replicas have to confirm it.
    writes: bool = True
    #: Whether it reads names of several slots of a Cluster, all on the server that runs it.
    over_slots: bool = False

    @cached_property
    def text(self) -> bytes:
        """The text that is sent to a server that does not know the script."""
        flags = {"allow-oom": self.when_full, "allow-cross-slot-keys": self.over_slots}
        chosen = ",".join(name for name, holds in flags.items() if holds)
        return f"#!lua{chosen and f' flags={chosen}'}\n{self.body}".encode()

    @cached_property
    def digest(self) -> bytes:
        """The SHA-1 by which the server knows the script."""
        return hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


# A tombstone lives as long as the session would have lived, and at least a day: longer than any
# request takes.
_BURY: Final = (
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', string.format('%.0f', math.max(left, 86400000)))"
)
_IF_BURIED_SAY_WHETHER_BY_ME: Final = """
local grave = redis.call('GET', KEYS[2])
if grave then return grave == ARGV[1] and 1 or 0 end
local left = redis.call('PTTL', KEYS[1])
"""
_IF_NOT_AS_EXPECTED: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('PTTL', KEYS[1]) < 0
    or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
"""

#: Reads the same as FIND, with plain commands in one trip: they cost the server and the client half
#: as much as the script. Takes lengths and names: of the session, its tombstone, the session again.
#: GETEX counts as a write, so a server that has become a replica refuses it.
LOOK: Final = (
    b"*2\r\n$5\r\nGETEX\r\n$%d\r\n%b\r\n"
    b"*2\r\n$6\r\nEXISTS\r\n$%d\r\n%b\r\n"
    b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n"
    b"*1\r\n$4\r\nTIME\r\n"
)

#: Without arguments. Gives data, milliseconds left, and the server's clock; deletes what is buried.
FIND: Final = Script(
    """
if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('DEL', KEYS[1])
    return false
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then return false end
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), left, now[1], now[2]}
""",
    writes=False,
)

#: Cursor, pattern and size of a page of names, and what a tombstone's name has before and after the
#: session's name. Gives the next cursor and, for each live session, its name and what FIND gives.
PAGE: Final = Script(
    """
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3], 'TYPE', 'string')
local now = redis.call('TIME')
local found, seen = {}, {}
for _, name in ipairs(page[2]) do
    local left = redis.call('PTTL', name)
    if left >= 0 and not seen[name] then
        seen[name] = true
        local grave = redis.pcall('EXISTS', ARGV[4] .. name .. ARGV[5])
        -- In a slot that moves to another server, a tombstone that is not here is an error.
        local moves = type(grave) == 'table' and string.find(grave.err, 'non local', 1, true)
        if type(grave) == 'table' and not moves then return grave end
        if grave ~= 1 then
            found[#found + 1] = {name, redis.call('GET', name), left, now[1], now[2]}
        end
    end
end
return {page[1], found}
""",
    writes=False,
    over_slots=True,
)

#: Data, and PX with milliseconds or PXAT with a moment.
INSERT: Final = Script(
    """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', ARGV[2], ARGV[3]) then return 1 end
return (ARGV[4] == '1' and redis.call('GET', KEYS[1]) == ARGV[1]) and 1 or 0
""",
    when_full=False,
)

#: Expected data, new data, PX or PXAT.
REPLACE: Final = Script(
    f"""{_IF_NOT_AS_EXPECTED}
redis.call('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
return 1
""",
    repeatable=False,
    when_full=False,
)

#: Expected data, milliseconds.
TOUCH: Final = Script(
    f"""{_IF_NOT_AS_EXPECTED}
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""",
    repeatable=False,
)

#: Nonce.
DELETE: Final = Script(
    f"""
local left = redis.call('PTTL', KEYS[1])
local found = redis.call('DEL', KEYS[1])
local grave = redis.call('GET', KEYS[2])
if grave then return grave == ARGV[1] and 1 or 0 end
if found == 0 then return 0 end
{_BURY}
return left < 0 and 0 or 1
"""
)

#: Nonce, PX or PXAT. KEYS[3] is the new name.
RENAME: Final = Script(
    f"""{_IF_BURIED_SAY_WHETHER_BY_ME}
if left < 0 then return 0 end
if redis.call('RENAMENX', KEYS[1], KEYS[3]) == 0 then
    return redis.error_reply('ERR the new key of a session is taken')
end
redis.call(ARGV[2] == 'PX' and 'PEXPIRE' or 'PEXPIREAT', KEYS[3], ARGV[3])
{_BURY}
return 1
"""
)

#: Nonce, PX or PXAT, new data, expected data. KEYS[3] is the new name.
RENAME_AND_REPLACE: Final = Script(
    f"""{_IF_BURIED_SAY_WHETHER_BY_ME}
if left < 0 or redis.call('GET', KEYS[1]) ~= ARGV[5] then return 0 end
if not redis.call('SET', KEYS[3], ARGV[4], 'NX', ARGV[2], ARGV[3]) then
    return redis.error_reply('ERR the new key of a session is taken')
end
redis.call('DEL', KEYS[1])
{_BURY}
return 1
"""
)

# For a rename on a Cluster between two slots. See RedisStore._move.

#: As INSERT, but a renewal has to work when the memory is full.
COPY: Final = Script(INSERT.body)

#: Data, PX or PXAT. Gives 0 if the session was destroyed.
PUT: Final = Script(
    """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
"""
)

#: Nonce, expected data. Gives 1, 0 if there is no session, or the data that is there instead.
BURY: Final = Script(
    f"""{_IF_BURIED_SAY_WHETHER_BY_ME}
if left < 0 then return 0 end
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[2] then return held end
redis.call('DEL', KEYS[1])
{_BURY}
return 1
"""
)

#: Without arguments. Removes a copy that nobody knows, without a tombstone.
DROP: Final = Script("return redis.call('DEL', KEYS[1])\n")
