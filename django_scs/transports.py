"""How a token travels between a browser, or an API client, and the site: in a cookie or in a header."""

from collections.abc import Iterable
from typing import Final, Protocol

from django.http import HttpRequest, HttpResponse
from django.http.cookie import parse_cookie
from django.utils.cache import patch_cache_control, patch_vary_headers

from .conf import CookieOptions, Options
from .tokens import Key


class Transport(Protocol):
    """Carries tokens. Source: Spring Session HttpSessionIdResolver."""

    #: The request header that a response depends on when the session was read.
    varies: str

    def read(self, request: HttpRequest) -> Iterable[str]:
        """Return every token that the request carries, in the order in which to try them."""
        ...

    def write(self, response: HttpResponse, token: str, max_age: int | None) -> None:
        """Send a token that lives for ``max_age`` seconds, or, if None, until the browser is closed."""
        ...

    def delete(self, request: HttpRequest, response: HttpResponse) -> None:
        """Tell the client to forget the token that it has sent, if any."""
        ...


class Cookie:
    """Carries tokens in a cookie."""

    varies = "Cookie"

    def __init__(self, options: CookieOptions) -> None:
        self._options = options

    def read(self, request: HttpRequest) -> Iterable[str]:
        """Implement Transport.read. A browser may send two cookies of one name, for two paths."""
        name = self._options.name
        value = request.COOKIES.get(name)
        header = request.META.get("HTTP_COOKIE", "")
        if header.count(f"{name}=") < 2:
            return [] if value is None else [Key(value)]
        # If several cookies have one name, Django keeps the last.
        sent = [parse_cookie(part).get(name) for part in header.split(";")]
        return [Key(each) for each in dict.fromkeys([value, *sent]) if each is not None]

    def write(self, response: HttpResponse, token: str, max_age: int | None) -> None:
        """Implement Transport.write."""
        options = self._options
        response.set_cookie(
            options.name,
            token,
            max_age=max_age,
            domain=options.domain,
            path=options.path,
            secure=options.secure,
            httponly=options.httponly,
            samesite=options.samesite,  # type: ignore[arg-type]
        )
        _keep_private(response)

    def delete(self, request: HttpRequest, response: HttpResponse) -> None:
        """Implement Transport.delete."""
        options = self._options
        if options.name in request.COOKIES:
            response.delete_cookie(
                options.name,
                path=options.path,
                domain=options.domain,
                samesite=options.samesite,  # type: ignore[arg-type]
            )
            _keep_private(response)


class Header:
    """Carries tokens in a header of the request and of the response, for clients without cookies."""

    def __init__(self, name: str) -> None:
        self.varies = name

    def read(self, request: HttpRequest) -> Iterable[str]:
        """Implement Transport.read."""
        value = request.headers.get(self.varies)
        return [Key(value)] if value else []

    def write(self, response: HttpResponse, token: str, max_age: int | None) -> None:
        """Implement Transport.write."""
        response.headers[self.varies] = token
        _keep_private(response)

    def delete(self, request: HttpRequest, response: HttpResponse) -> None:
        """Implement Transport.delete: send an empty token."""
        self.write(response, "", None)


def choose(request: HttpRequest, options: Options) -> Transport:
    """Return the header transport if the request has that header, even empty; else the cookie."""
    if options.token_header is not None and options.token_header in request.headers:
        return Header(options.token_header)
    return Cookie(options.cookie)


def patch_vary(response: HttpResponse, options: Options) -> None:
    """Add to Vary the headers on which a response depends if its session was read."""
    names = [Cookie.varies]
    if options.token_header is not None:
        names.append(options.token_header)
    patch_vary_headers(response, names)


_FOR_SHARED_CACHES: Final = ("cdn-cache-control", "surrogate-control", "edge-control")


def _keep_private(response: HttpResponse) -> None:
    """Keep a response with a token out of shared caches, whatever the view has said."""
    said = response.headers.get("Cache-Control", "")
    directives = map(str.strip, said.split(","))
    response.headers["Cache-Control"] = ", ".join(
        each for each in directives if not each.lower().startswith("s-maxage")
    )
    # A content delivery network obeys these before Cache-Control. Source: RFC 9213.
    for name in list(response.headers):
        if name.lower().endswith(_FOR_SHARED_CACHES):
            del response.headers[name]
    # This removes "public". Django's page cache obeys "private". Up to 5.2.14 it stores a response
    # that has only "no-store".
    patch_cache_control(response, private=True)
    if not said:
        patch_cache_control(response, no_store=True)
