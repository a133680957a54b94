"""The site that the load is sent to: the library's middleware, and views that do one thing each."""
