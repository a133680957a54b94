"""A client's address, from the source that the project trusts, and its user agent."""

import ipaddress
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest
from django.utils.translation import gettext as _

from . import settings

_LONGEST_AGENT: Final = 512
_SHOWN: Final = 60
#: How many bits of a shortened address remain.
_NETWORKS: Final = {4: 24, 6: 48}
# What the parser returns for something that it does not know.
_UNKNOWN: Final = {None, "", "Other"}


def address_of(request: HttpRequest | None) -> str | None:
    """Return the client's address as SCS_DEVICES_ADDRESS finds it; None if it is no address."""
    find = settings.address()
    if request is None or find is None:
        return None
    try:
        # The zone of an IPv6 address, as in fe80::1%eth0, means nothing to other machines.
        found = ipaddress.ip_address(str(find(request)).strip().partition("%")[0])
    except ValueError:
        return None
    # A socket that also takes IPv4 gives such an address as ::ffff:192.0.2.1.
    found = getattr(found, "ipv4_mapped", None) or found
    if settings.shorten_address():
        found = ipaddress.ip_network((found, _NETWORKS[found.version]), strict=False)[0]
    return str(found)


def agent_of(request: HttpRequest | None) -> str:
    """Return the user agent of a request, without control characters and at most 512 characters."""
    text = request.META.get("HTTP_USER_AGENT", "") if request is not None else ""
    return "".join(each for each in text if each.isprintable())[:_LONGEST_AGENT]


@lru_cache(maxsize=1024)
def families(agent: str) -> tuple[str, str] | None:
    """Return the names of browser and system, "" if unknown; None if ua-parser is not installed.

    Versions and models are left out: browsers give false ones.
    """
    try:
        import ua_parser
    except ImportError:
        return None
    found: Any = ua_parser.parse(agent)
    return _family(found.user_agent), _family(found.os)


def describe(agent: str) -> str:
    """Return a name that its user recognises, such as "Chrome on Windows".

    Without the extra ``django_scs[devices]`` it is the user agent, shortened to 60 characters.
    """
    browser, system = families(agent) or ("", "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    if browser or system:
        return browser or system
    if not agent:
        return _("Unknown device")
    return agent if len(agent) <= _SHOWN else f"{agent[:_SHOWN]}…"


def _family(part: Any) -> str:
    family = getattr(part, "family", None)
    return "" if family in _UNKNOWN else str(family)
