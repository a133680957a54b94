"""``{% load scs %}``."""

from django import template
from django.template.context import Context

from .. import flash as flash_messages

register = template.Library()


@register.simple_tag(takes_context=True)
def flash(context: Context, key: str = "flash") -> str:
    """Take the message out of the session and return it, or "".

    ``{% flash %}``, ``{% flash "error" %}``, or ``{% flash as message %}``.
    """
    return flash_messages.pop(context.get("request"), key)
