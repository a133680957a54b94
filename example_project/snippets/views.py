"""The pages of Snippetbox."""

import time
from contextlib import suppress
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import views as auth_views
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.sessions.backends.base import UpdateError
from django.db.models import QuerySet
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.views import generic
from django.views.generic.edit import FormMixin

from django_scs import flash
from django_scs.backends.db import SessionStore
from django_scs.devices.views import context as devices_context

from . import duel
from .forms import LoginForm, SignupForm, SnippetForm
from .models import Snippet
from .signals import SIGNED_IN_AT

ON_THE_HOME_PAGE = 12
# What the page "Try it in two tabs" keeps in the session.
TRIED = "tried"
BASKET = "basket"
ITEMS = ("bread", "apples", "nothing")
SLOW_SECONDS = 5
DJANGOS_COOKIE = "djangos_session"


class FocusErrorMixin(FormMixin):  # type: ignore[type-arg]
    """Put the cursor into the first field that has an error, without a line of JavaScript."""

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        wrong = next((field for name, field in form.fields.items() if name in form.errors), None)
        if wrong:
            for field in form.fields.values():
                field.widget.attrs.pop("autofocus", None)
            wrong.widget.attrs["autofocus"] = True
        return super().form_invalid(form)


class Home(generic.ListView):  # type: ignore[type-arg]
    """The latest snippets."""

    template_name = "snippets/home.html"
    context_object_name = "snippets"

    def get_queryset(self) -> QuerySet[Snippet]:
        newest = Snippet.objects.live().latest_first().select_related("author")
        return newest[:ON_THE_HOME_PAGE]


class View(generic.DetailView):  # type: ignore[type-arg]
    """One snippet, as long as it has not expired."""

    template_name = "snippets/view.html"
    context_object_name = "snippet"

    def get_queryset(self) -> QuerySet[Snippet]:
        return Snippet.objects.live().select_related("author")


class Create(LoginRequiredMixin, FocusErrorMixin, generic.CreateView):  # type: ignore[type-arg]
    """A form for a new snippet."""

    template_name = "snippets/create.html"
    form_class = SnippetForm

    def form_valid(self, form: SnippetForm) -> HttpResponse:  # type: ignore[override]
        form.instance.author = self.request.user
        response = super().form_valid(form)
        flash.put(self.request, "Snippet successfully created!")
        return response


class Signup(FocusErrorMixin, generic.FormView):  # type: ignore[type-arg]
    """A form for a new user."""

    template_name = "snippets/signup.html"
    form_class = SignupForm
    success_url = reverse_lazy("login")

    def form_valid(self, form: SignupForm) -> HttpResponse:
        if form.create_user() is None:
            return self.form_invalid(form)
        flash.put(self.request, "Your signup was successful. Please log in.")
        return super().form_valid(form)


class Login(FocusErrorMixin, auth_views.LoginView):
    """A form that signs a user in."""

    template_name = "snippets/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: LoginForm) -> HttpResponse:
        response = super().form_valid(form)
        flash.put(self.request, f"Welcome back, {form.get_user().get_short_name()}.")
        return response


class Logout(auth_views.LogoutView):
    """The end of a session. Only by POST: a link on another site must not sign anyone out."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        # After, not before: signing out destroys the session with every value in it, and the flash
        # goes into the new, anonymous one.
        flash.put(request, "You have been logged out.")
        return response


class Account(LoginRequiredMixin, generic.TemplateView):
    """What users may know of their session. The token is not part of it."""

    template_name = "snippets/account.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        session = cast(SessionStore, self.request.session)
        return super().get_context_data(
            fingerprint=session.fingerprint(),
            signed_in_at=session[SIGNED_IN_AT],
            deadline=session.deadline(),
            idle_until=session.get_expiry_date(),
            **devices_context(self.request),
            **kwargs,
        )


class Try(generic.TemplateView):
    """Two tabs on two session engines. By POST it lets them race, and keeps what happened."""

    template_name = "snippets/try.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        seen = self.request.session.get(TRIED, {})
        experiments = [
            {"name": name, "about": experiment, "results": seen.get(name)}
            for name, experiment in duel.EXPERIMENTS.items()
        ]
        baskets = {
            duel.OURS: self.request.session.get(BASKET, []),
            duel.DJANGOS: _djangos_session(self.request).get(BASKET, []),
        }
        return super().get_context_data(
            experiments=experiments, baskets=baskets, seconds=SLOW_SECONDS, **kwargs
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        wanted = request.POST.get("name", "")
        names = list(duel.EXPERIMENTS) if wanted == "all" else [wanted]
        if not set(names) <= set(duel.EXPERIMENTS):
            raise Http404
        results = {
            name: {engine: result._asdict() for engine, result in duel.run(name).items()}
            for name in names
        }
        request.session[TRIED] = {**request.session.get(TRIED, {}), **results}
        return HttpResponseRedirect(f"{reverse('try')}#{names[0]}")


class Basket(generic.View):
    """Put something into a basket in the visitor's own session, on both engines, fast or slowly."""

    def post(self, request: HttpRequest) -> HttpResponse:
        sessions = [request.session, _djangos_session(request)]
        baskets = [session.get(BASKET, []) for session in sessions]
        item = request.POST.get("item", "")
        if item not in ITEMS:
            raise Http404
        if item == ITEMS[0]:
            time.sleep(SLOW_SECONDS)
        for session, basket in zip(sessions, baskets, strict=True):
            session[BASKET] = [] if item == ITEMS[2] else [*basket, item]
        response = HttpResponseRedirect(f"{reverse('try')}#hands")
        with suppress(UpdateError):
            sessions[1].save()
        response.set_cookie(
            DJANGOS_COOKIE,
            sessions[1].session_key or "",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response


def _djangos_session(request: HttpRequest) -> Any:
    return duel.DjangosStore(request.COOKIES.get(DJANGOS_COOKIE))
