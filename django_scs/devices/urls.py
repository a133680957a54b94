"""The page "Where you are signed in": ``path("devices/", include("django_scs.devices.urls"))``."""

from django.urls import path

from . import views

app_name = "scs_devices"
urlpatterns = [
    path("", views.devices_page, name="list"),
    path("sign-out-others/", views.sign_out_others, name="sign_out_others"),
    path("<uuid:pk>/sign-out/", views.sign_out, name="sign_out"),
]
