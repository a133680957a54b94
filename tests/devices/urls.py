"""The tests' views, the page of devices, and the admin."""

from django.contrib import admin
from django.urls import include, path

from example_project.snippets.urls import urlpatterns as snippetbox
from tests.urls import urlpatterns as views

urlpatterns = [
    *views,
    path("devices/", include("django_scs.devices.urls")),
    path("admin/", admin.site.urls),
    *(each for each in snippetbox if "devices" not in str(each.pattern)),
]
