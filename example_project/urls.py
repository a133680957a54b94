"""The URLs of Snippetbox."""

from django.urls import include, path

urlpatterns = [path("", include("example_project.snippets.urls"))]
