"""The pages that show and make snippets."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from example_project.snippets.models import Snippet

CREATE = "/snippet/create/"
VALID = {"title": "Eternity", "content": "He who binds\nto himself a joy", "days": "7"}

pytestmark = pytest.mark.django_db


def text_of(response: Any) -> str:
    return response.content.decode()


def ages(*minutes: int) -> list[Any]:
    return [timezone.now() - timedelta(minutes=age) for age in minutes]


def test_home_shows_the_latest_first(client: Client, make_snippet: Any) -> None:
    old, new = ages(30, 2)
    make_snippet(title="Older", created=old)
    make_snippet(title="Newer", created=new)
    page = text_of(client.get("/"))
    assert page.index("Newer") < page.index("Older")
    assert "Ada" in page
    assert "30\xa0minutes ago" in page


def test_home_calls_a_new_snippet_new(client: Client, make_snippet: Any) -> None:
    make_snippet()
    assert "just now" in text_of(client.get("/"))


def test_home_shows_twelve_at_most(client: Client, make_snippet: Any) -> None:
    for created in ages(*range(13)):
        make_snippet(created=created)
    assert text_of(client.get("/")).count('<li class="card">') == 12


def test_home_makes_one_query(
    client: Client, make_snippet: Any, django_assert_num_queries: Any
) -> None:
    make_snippet()
    make_snippet()
    with django_assert_num_queries(1):
        client.get("/")


def test_home_of_one_who_is_signed_in_adds_session_and_user(
    ada: Client, make_snippet: Any, django_assert_num_queries: Any
) -> None:
    make_snippet()
    with django_assert_num_queries(3):
        ada.get("/")


def test_home_without_snippets_invites_to_write(client: Client) -> None:
    assert "The box is empty" in text_of(client.get("/"))


def test_home_shows_the_first_five_lines(client: Client, make_snippet: Any) -> None:
    make_snippet(content="\n".join(f"line {number}" for number in range(1, 8)))
    page = text_of(client.get("/"))
    assert "line 5" in page
    assert "line 6" not in page


def test_expired_snippet_is_gone(client: Client, make_snippet: Any) -> None:
    expired = make_snippet(title="Yesterday's", expires=timezone.now() - timedelta(seconds=1))
    assert "Yesterday's" not in text_of(client.get("/"))
    assert client.get(expired.get_absolute_url()).status_code == 404


def test_view_shows_the_snippet(client: Client, make_snippet: Any) -> None:
    snippet = make_snippet(title="Two lines", content="    indented\nflush")
    page = text_of(client.get(snippet.get_absolute_url()))
    assert "<h1>Two lines</h1>" in page
    assert "<span>    indented\n</span><span>flush\n</span>" in page
    assert f"{snippet.expires:%H:%M} UTC" in page


def test_view_escapes_what_people_wrote(client: Client, make_snippet: Any) -> None:
    snippet = make_snippet(title="<b>bold</b>", content="<script>alert(1)</script>")
    for url in ("/", snippet.get_absolute_url()):
        page = text_of(client.get(url))
        assert "<script>" not in page
        assert "<b>bold" not in page


def test_unknown_address_shows_the_way_back(client: Client) -> None:
    response = client.get("/snippet/1/")
    assert response.status_code == 404
    assert "Not in the box" in text_of(response)


def test_create_asks_to_log_in(client: Client) -> None:
    response = client.get(CREATE)
    assert response.status_code == 302
    assert response["Location"] == "/user/login/?next=/snippet/create/"
    client.post(CREATE, VALID)
    assert not Snippet.objects.exists()


def test_create_stores_the_snippet_and_goes_to_it(ada: Client, user: User) -> None:
    response = ada.post(CREATE, VALID)
    snippet = Snippet.objects.get()
    assert response["Location"] == snippet.get_absolute_url()
    assert (snippet.title, snippet.content) == (VALID["title"], VALID["content"])
    assert snippet.author == user


def test_create_shows_a_flash_once(ada: Client) -> None:
    response = ada.post(CREATE, VALID, follow=True)
    assert 'role="status">Snippet successfully created!<' in text_of(response)
    again = ada.get(response.request["PATH_INFO"])
    assert 'role="status"' not in text_of(again)


@pytest.mark.parametrize("days", [1, 7, 365])
def test_create_keeps_the_snippet_for_days(ada: Client, days: int) -> None:
    ada.post(CREATE, {**VALID, "days": days})
    snippet = Snippet.objects.get()
    assert snippet.expires - snippet.created == timedelta(days=days)
    assert abs(timezone.now() - snippet.created) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("title", "", "This field is required."),
        ("title", "   ", "This field is required."),
        ("title", "x" * 101, "Ensure this value has at most 100 characters (it has 101)."),
        ("content", "", "This field is required."),
        ("content", " \r\n\t\r\n", "This field is required."),
        ("content", "x" * 10_001, "Ensure this value has at most 10000 characters (it has 10001)."),
        ("days", "", "This field is required."),
        ("days", "30", "Select a valid choice. 30 is not one of the available choices."),
    ],
)
def test_create_explains_an_error_beside_its_field(
    ada: Client, field: str, value: str, message: str
) -> None:
    response = ada.post(CREATE, {**VALID, field: value})
    page = text_of(response)
    assert list(response.context["form"].errors) == [field]
    assert f'id="id_{field}_error"><li>{message}</li>' in page
    assert f'aria-describedby="id_{field}_error"' in page
    assert page.count('aria-invalid="true"') == (3 if field == "days" else 1)
    assert "<title>Error: New snippet" in page
    assert not Snippet.objects.exists()


def test_create_keeps_what_was_typed(ada: Client) -> None:
    page = text_of(ada.post(CREATE, {**VALID, "title": ""}))
    assert "He who binds" in page
    assert 'value="7" ' in page.split("checked")[0].rsplit("<input", 1)[1]


def test_create_puts_the_cursor_into_the_first_wrong_field(ada: Client) -> None:
    page = text_of(ada.post(CREATE, {**VALID, "content": ""}))
    assert page.count("autofocus") == 1
    assert "autofocus" in page.split('<textarea name="content"')[1].split(">")[0]


def test_create_keeps_indentation_and_unix_line_ends(ada: Client) -> None:
    ada.post(CREATE, {**VALID, "content": "\r\n    a\r\n\tb  \r\n\r\n"})
    assert Snippet.objects.get().content == "    a\n\tb"


def test_line_end_counts_as_one_character(ada: Client) -> None:
    ada.post(CREATE, {**VALID, "content": "x\r\n" * 4_999 + "xx"})
    assert len(Snippet.objects.get().content) == 10_000


def test_create_is_not_cached(ada: Client) -> None:
    assert "no-store" in ada.get(CREATE)["Cache-Control"]


def test_str_is_the_title(make_snippet: Any) -> None:
    assert str(make_snippet(title="Fog")) == "Fog"
