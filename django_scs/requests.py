"""What a request says about who will see the answer."""

from django.http import HttpRequest


def is_unseen(request: HttpRequest | None) -> bool:
    """Tell whether nobody sees the page: a HEAD request, or a prefetch that the browser announces.

    Source: Fetch standard, ``Sec-Purpose``; ``Purpose`` and ``X-Moz`` are what older browsers send.
    """
    if request is None:
        return False
    announced = (request.headers.get(name, "").lower() for name in _PURPOSES)
    return request.method == "HEAD" or any("prefetch" in purpose for purpose in announced)


_PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
