"""The tests' views, the page of devices, and the admin."""

from django.contrib import admin
from django.urls import include, path

from tests.urls import urlpatterns as views

urlpatterns = [
    *views,
    path("devices/", include("django_scs.devices.urls")),
    path("admin/", admin.site.urls),
    path("", include("example_project.snippets.urls")),
]
