"""Views of a shop: log in and out, put something into the cart, look at it."""

import os
import time

from django.contrib.auth import get_user_model, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

BACKEND = "django.contrib.auth.backends.ModelBackend"


def _wait(request: HttpRequest) -> None:
    """Hold the loaded session for a while, where the query string says ``pause``."""
    request.session.keys()
    time.sleep(float(request.GET.get("pause", 0)))


def log_in(request: HttpRequest) -> JsonResponse:
    user = get_user_model().objects.get(username=request.GET["user"])
    login(request, user, backend=BACKEND)
    if "remember" in request.GET:
        request.session.set_expiry(int(request.GET["remember"]))
    return JsonResponse({"user": request.user.get_username()})


def add(request: HttpRequest) -> JsonResponse:
    _wait(request)
    request.session["cart"] = [*request.session.get("cart", []), request.GET["item"]]
    return show(request)


def show(request: HttpRequest) -> JsonResponse:
    session = request.session
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "cart": session.get("cart", []),
            "age": session.get_expiry_age(),
            "at_close": session.get_expire_at_browser_close(),
        }
    )


def log_out(request: HttpRequest) -> JsonResponse:
    _wait(request)
    logout(request)
    return JsonResponse({})


PAGE = """<!doctype html><title>Shop</title><h1>Hello, {user}</h1><p id=cart>{cart}</p><p id=parts></p>
<script>
const parts = [...Array(6)].map(() => fetch("/show").then(answer => answer.json()))
Promise.all(parts).then(all => {{
  document.getElementById("parts").textContent = all.map(one => one.user + one.cart.length).join(" ")
}})
</script>"""


def page(request: HttpRequest) -> HttpResponse:
    """Answer with a page that sends six requests at once."""
    cart = ", ".join(request.session.get("cart", []))
    return HttpResponse(PAGE.format(user=request.user.get_username(), cart=cart))


def worker(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"process": os.getpid()})


urlpatterns = [
    path("login", log_in),
    path("add", add),
    path("show", show),
    path("logout", log_out),
    path("page", page),
    path("worker", worker),
]
