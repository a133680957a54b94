"""The URLs of the pages."""

from django.urls import include, path
from django.views.decorators.cache import never_cache

from . import views

urlpatterns = [
    path("", views.Home.as_view(), name="home"),
    path("snippet/<int:pk>/", views.View.as_view(), name="view"),
    path("snippet/create/", never_cache(views.Create.as_view()), name="create"),
    path("user/signup/", never_cache(views.Signup.as_view()), name="signup"),
    path("user/login/", views.Login.as_view(), name="login"),
    path("user/logout/", views.Logout.as_view(), name="logout"),
    path("account/devices/", include("django_scs.devices.urls")),
    path("try/", never_cache(views.Try.as_view()), name="try"),
    path("try/basket/", views.Basket.as_view(), name="basket"),
    path("account/", never_cache(views.Account.as_view()), name="account"),
]
