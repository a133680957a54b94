"""Snippetbox: the web application that shows django_scs at work."""
