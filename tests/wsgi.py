"""The tests' views as a WSGI application, for a server in a process of its own."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
settings.ROOT_URLCONF = "tests.urls"
application = get_wsgi_application()
