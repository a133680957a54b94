"""``flash`` in templates that the context processor serves."""

import pytest
from django.template import engines

from django_scs import context_processors
from tests.support import statements, stored, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]

ASK_AND_PRINT = "{% if flash %}<p>{{ flash }}</p>{% endif %}"


def page(client, template):
    with statements() as found:
        response = client.get("/page/", {"template": template})
    return response, verbs(found)


def test_message_is_printed_once(client):
    client.get("/put_flash/")
    response, found = page(client, ASK_AND_PRINT)

    assert response.content == b"<p>Saved!</p>"
    assert found == ["SELECT", "UPDATE"]
    assert "Cookie" in response["Vary"]
    assert page(client, ASK_AND_PRINT)[0].content == b""


def test_template_without_flash_leaves_the_session_alone(client):
    client.get("/put_flash/")
    response, found = page(client, "nothing to see")

    assert found == []
    assert "Vary" not in response
    assert stored(token_of(client)) == {"flash": "Saved!"}


def test_visitor_without_a_session_costs_nothing(client):
    response, found = page(client, ASK_AND_PRINT)

    assert (response.content, found, dict(response.cookies)) == (b"", [], {})


def test_message_is_escaped(client):
    client.get("/put_flash/", {"message": "<script>"})

    assert page(client, ASK_AND_PRINT)[0].content == b"<p>&lt;script&gt;</p>"


def test_filters_see_a_string(client):
    client.get("/put_flash/")

    assert page(client, "{{ flash|upper|cut:'!' }}")[0].content == b"SAVED"


@pytest.mark.parametrize("as_id", ["", ":'id'"])
def test_json_script_writes_a_string_and_the_message_is_gone(client, as_id):
    client.get("/put_flash/", {"message": "<Saved & sound>"})
    template = f"{{{{ flash|json_script{as_id} }}}}"
    shown = page(client, template)[0].content.decode()

    assert r'"\u003CSaved \u0026 sound\u003E"' in shown
    assert '""' in page(client, template)[0].content.decode()


def test_code_that_reads_the_context_sees_the_text(rf):
    flash = context_processors.flash(request_with_flash(rf))["flash"]

    assert flash == "Saved!"
    assert isinstance(flash, str)


def test_looking_at_its_repr_does_not_pop(rf):
    request = request_with_flash(rf)
    repr(context_processors.flash(request))

    assert request.session == {"flash": "Saved!"}


def request_with_flash(rf):
    request = rf.get("/")
    request.session = {"flash": "Saved!"}
    return request


# As a page about an error is rendered.


def test_template_without_a_request_has_no_flash():
    assert engines["django"].from_string(ASK_AND_PRINT).render({}) == ""


def test_request_without_a_session_has_no_flash(rf):
    assert engines["django"].from_string(ASK_AND_PRINT).render({}, rf.get("/")) == ""
