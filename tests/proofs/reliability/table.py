"""Fill the table with any number of sessions, by the database itself, and know their tokens."""

import hashlib
import time
from datetime import UTC, datetime

from django.db import connection

from django_scs.codecs.json import JSONCodec

#: What a session of a logged-in user takes, roughly: 400 bytes.
DATA = JSONCodec().encode(
    datetime(2036, 1, 1, tzinfo=UTC),
    {"_auth_user_id": "17", "_auth_user_hash": "5" * 64, "last_seen": "x" * 220},
)

# Row number n has expired when n is less than the number of expired rows wanted. Sorted by token, for
# rows that come in the order of the primary key are stored many times faster.
_FILL = {
    "mysql": """
        INSERT IGNORE INTO sessions (token, data, expiry)
        SELECT LEFT(SHA2(seq, 256), 43) AS token, %s,
            UTC_TIMESTAMP(6) + INTERVAL IF(seq < %s, -1, 1) * (3600 + RAND() * 1000000) SECOND
        FROM seq_0_to_{last} ORDER BY token
    """,
    "postgresql": """
        INSERT INTO sessions (token, data, expiry)
        SELECT left(encode(sha256(n::text::bytea), 'hex'), 43) AS token, %s,
            now() + CASE WHEN n < %s THEN -1 ELSE 1 END * (3600 + random() * 1000000) * interval '1 s'
        FROM generate_series(0, {last}) AS n ORDER BY token
        ON CONFLICT DO NOTHING
    """,
}


def token(number: int) -> str:
    """Return the token of a row by its number."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:43]


def fill(rows: int, expired: int) -> float:
    """Fill up to ``rows`` rows; the first ``expired`` have expired. Return the seconds it took."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_FILL[connection.vendor].format(last=rows - 1), [DATA, expired])
        cursor.execute(
            "ANALYZE TABLE sessions" if connection.vendor == "mysql" else "ANALYZE sessions"
        )
    return time.monotonic() - started


def make_room() -> None:
    """Give the server memory for millions of rows, where its tests' own is small."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET GLOBAL innodb_buffer_pool_size = 1 << 30")


def count(condition: str = "1 = 1") -> int:
    """Return how many rows of the table meet a condition in SQL."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM sessions WHERE {condition}")
        return int(cursor.fetchone()[0])
