"""The site that is moved: Django's login, a cart, and an expiry of the visitor's choice."""
