"""Devices, the admin and the commands on a million sessions: ``python -m tests.bench.devices mysql``.

Fills a throw-away server with sessions of 100,000 users, ten each, and prints medians and 95th
percentiles in milliseconds, and the memory that the commands take. ``--users`` changes how many users
there are, and ``--commands-only`` leaves out all but the commands. Not part of the suite.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.servers import SERVERS, interruptible

EACH, TIMES = 10, 200

FILL = {
    "mysql": [
        "INSERT INTO auth_user (id, username, password, email, first_name, last_name, is_staff,"
        " is_active, is_superuser, date_joined) SELECT seq, CONCAT('u', seq), 'x', '', '', '', 0, 1, 0,"
        " NOW() FROM seq_1_to_{users}",
        "INSERT INTO sessions SELECT LEFT(SHA2(seq, 256), 43) AS token, %s, UTC_TIMESTAMP(6)"
        " + INTERVAL (86400 + seq) SECOND FROM seq_1_to_{rows} ORDER BY token",
        "INSERT INTO scs_devices (id, `key`, fingerprint, signed_in, last_seen, ends, address,"
        " user_agent, user_id) SELECT {uuid} AS id, LEFT(SHA2(seq, 256), 43),"
        " LEFT(SHA2(CONCAT('django_scs fingerprint ', LEFT(SHA2(seq, 256), 43)), 256), 12),"
        " UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 30 DAY, '192.0.2.7', %s,"
        " 1 + seq % {users} FROM seq_1_to_{rows} ORDER BY id",
        "ANALYZE TABLE sessions, scs_devices, auth_user",
    ],
    "postgresql": [
        "INSERT INTO auth_user (id, username, password, email, first_name, last_name, is_staff,"
        " is_active, is_superuser, date_joined) SELECT n, 'u' || n, 'x', '', '', '', false, true,"
        " false, now() FROM generate_series(1, {users}) AS n",
        "INSERT INTO sessions SELECT left(encode(sha256(n::text::bytea), 'hex'), 43) AS token, %s,"
        " now() + (86400 + n) * interval '1 s' FROM generate_series(1, {rows}) AS n ORDER BY token",
        "INSERT INTO scs_devices (id, key, fingerprint, signed_in, last_seen, ends, address,"
        " user_agent, user_id) SELECT md5(n::text)::uuid AS id, k, left(encode(sha256(convert_to("
        "'django_scs fingerprint ' || k, 'UTF8')), 'hex'), 12), now(), now(), now() + interval '30 d',"
        " '192.0.2.7', %s, 1 + n %% {users} FROM (SELECT n, left(encode(sha256(n::text::bytea),"
        " 'hex'), 43) AS k FROM generate_series(1, {rows}) AS n) AS t ORDER BY id",
        "ANALYZE sessions",
        "ANALYZE scs_devices",
        "ANALYZE auth_user",
    ],
}
SETTINGS = "tests.bench.devices_settings"


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def report(name: str, samples: list[float]) -> float:
    samples = sorted(samples)
    middle = samples[len(samples) // 2]
    print(f"{name:44} {middle:9.2f} ms   p95 {samples[int(len(samples) * 0.95)]:9.2f}", flush=True)
    return middle


def fill(vendor: str, users: int) -> None:
    from django.contrib.auth import SESSION_KEY
    from django.db import connection

    from django_scs.backends.db import SessionStore
    from django_scs.devices.models import Device

    data = SessionStore().encode({SESSION_KEY: "17", "text": "x" * 200})
    native = connection.vendor == "mysql" and "uuid" in str(Device._meta.pk.db_type(connection))
    uuid = (
        "MD5(seq)"
        if not native
        # Of version 4: others are refused, or sorted otherwise.
        else (
            "INSERT(INSERT(INSERT(INSERT(INSERT(INSERT(MD5(seq), 13, 1, '4'), 17, 1, '8'), 21, 0, '-'),"
            " 17, 0, '-'), 13, 0, '-'), 9, 0, '-')"
        )
    )
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
    with connection.cursor() as cursor:
        if vendor == "mysql":
            cursor.execute("SET GLOBAL innodb_buffer_pool_size = 1 << 30")
        for sql in FILL[vendor]:
            parameter = data if "INTO sessions" in sql else agent
            text = sql.format(users=users, rows=users * EACH, uuid=uuid)
            if "%s" in text:
                cursor.execute(text.replace(" % ", " %% "), [parameter])
            else:
                cursor.execute(text)


def prepare(vendor: str, users: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(f"\n{vendor}: {users * EACH} sessions of {users} users; filled in", end=" ")
    print(f"{timed(lambda: fill(vendor, users)) / 1000:.0f} s", flush=True)


def measure(number_of_users: int) -> None:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.test.utils import setup_test_environment

    from django_scs import devices
    from django_scs.devices import follow

    setup_test_environment()
    picks = random.sample(range(1, number_of_users), 5 * TIMES)
    users = iter(User.objects.filter(pk__in=picks))
    report("devices.of(user)", [timed(lambda: devices.of(next(users))) for _ in range(TIMES)])
    report(
        "revoke_user, 10 sessions",
        [timed(lambda: devices.revoke_user(next(users))) for _ in range(TIMES)],
    )
    logins: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * TIMES):
        name, on = next(users).username, number % 2 == 0
        (follow.connect if on else follow.disconnect)()
        logins[on].append(timed(partial(Client().get, f"/log_in/?user={name}")))
    follow.connect()
    ratio = report("login with devices", logins[True]) / report("login without", logins[False])
    print(f"{'ratio':44} {ratio:9.2f}")
    root = User.objects.create_superuser("root", "", "x", id=2 * number_of_users)
    admin = Client()
    admin.force_login(root)
    page = "/admin/django_scs/session/"
    report("page of a user's devices", [timed(lambda: admin.get("/devices/")) for _ in range(30)])
    report("admin: first page", [timed(lambda: admin.get(page)) for _ in range(20)])
    following = admin.get(page).context["following"]
    for _ in range(19):
        following = admin.get(page, {"after": following}).context["following"]
    report(
        "admin: page 21", [timed(lambda: admin.get(page, {"after": following})) for _ in range(20)]
    )
    report(
        "admin: search that scans",
        [timed(lambda: admin.get(page, {"q": "0" * 12})) for _ in range(3)],
    )
    report(
        "admin: sessions of a user",
        [timed(lambda: admin.get(page, {"user": "u77"})) for _ in range(20)],
    )


def run_command(*arguments: str) -> None:
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "django", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    print(
        f"{' '.join(arguments)}: {seconds:.1f} s, {usage.ru_maxrss / 1024:.0f} MB, status {status}"
    )
    print("   ", text.strip()[-300:], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vendor", choices=list(FILL))
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--commands-only", action="store_true")
    options = parser.parse_args()
    vendor = options.vendor
    with interruptible(), SERVERS[vendor]() as server:
        os.environ["DATABASE_URL"], os.environ["DJANGO_SETTINGS_MODULE"] = server.url, SETTINGS
        prepare(vendor, options.users)
        if not options.commands_only:
            measure(options.users)
        from django.db import connection

        run_command("scs_sessions", "--json")
        with connection.cursor() as cursor:
            # As if all had expired.
            past = "'1999-01-01'" if vendor == "mysql" else "timestamptz '1999-01-01'"
            cursor.execute(f"UPDATE sessions SET expiry = {past}")
        run_command("clearsessions", "--dry-run")
        run_command("clearsessions", "--batch-size=20000")
        connection.close()
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
