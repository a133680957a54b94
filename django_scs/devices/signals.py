"""Signals of the devices. Both get ``device`` and ``request``, which is None outside of one."""

from django.dispatch import Signal

#: Sent when the row of a signed-in session has been written.
signed_in = Signal()
#: Sent then too, if no other row of the user has this kind of browser on this kind of system.
new_device = Signal()
