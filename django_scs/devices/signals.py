"""Signals of the devices. Both get ``device`` and ``request``, which is None outside of one."""

from django.dispatch import Signal

#: A session of a signed-in user has got its row.
signed_in = Signal()
#: The same, where none of the user's other rows has this kind of browser on this kind of system.
new_device = Signal()
