"""``{% load scs %}``: the flash tag."""

import pytest
from django.template import engines

from tests.support import stored, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


def page(client, template):
    return client.get("/page/", {"template": "{% load scs %}" + template}).content.decode()


@pytest.fixture
def visitor(client):
    """Return a client for whom two messages wait."""
    client.get("/put_flash/", {"message": "Saved & sound"})
    client.get("/put_flash/", {"message": "Oh <no>!", "key": "error"})
    return client


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% flash %}", "Saved &amp; sound"),
        ('{% flash "error" %}', "Oh &lt;no&gt;!"),
        ("{% flash key='error' %}", "Oh &lt;no&gt;!"),
        ("{% flash as m %}{% if m %}<p>{{ m }}</p>{% endif %}", "<p>Saved &amp; sound</p>"),
        ('{% flash "error" as m %}{{ m }}{{ m }}', "Oh &lt;no&gt;!Oh &lt;no&gt;!"),
        ("{% autoescape off %}{% flash %}{% endautoescape %}", "Saved & sound"),
        ('{% flash "other" %}', ""),
    ],
)
def test_tag_gives_the_message_escaped(visitor, template, text):
    assert page(visitor, template) == text


def test_tag_takes_its_message_and_no_other(visitor):
    page(visitor, '{% flash "error" %}')

    assert stored(token_of(visitor)) == {"flash": "Saved & sound"}
    assert page(visitor, '{% flash "error" %}') == ""


def test_tag_that_is_not_rendered_takes_nothing(visitor):
    assert page(visitor, "{% if False %}{% flash %}{% endif %}") == ""
    assert page(visitor, "{% flash %}") == "Saved &amp; sound"


def test_tag_for_a_visitor_without_a_session_prints_nothing(client):
    assert page(client, "[{% flash %}{% flash as m %}{{ m }}]") == "[]"


@pytest.mark.parametrize("has_request", [False, True])
def test_tag_on_a_page_about_an_error_prints_nothing(rf, has_request):
    template = engines["django"].from_string("{% load scs %}[{% flash %}]")

    assert template.render({}, rf.get("/") if has_request else None) == "[]"
