"""The forms of Snippetbox."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from .models import Snippet

# The length of User.username, which holds the email address.
EMAIL_LENGTH = 150


class TextField(forms.CharField):
    """A text of several lines that keeps its indentation and has newlines alone as line ends."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        text = (super().to_python(value) or "").replace("\r\n", "\n").replace("\r", "\n")
        return text.rstrip().lstrip("\n") if text.strip() else ""


class SnippetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new snippet and the number of days that it is kept."""

    content = TextField(
        label="Text",
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
    )
    days = forms.TypedChoiceField(
        label="Keep it for",
        choices=[(365, "a year"), (7, "a week"), (1, "a day")],
        coerce=int,
        initial=365,
        widget=forms.RadioSelect,
    )

    class Meta:
        model = Snippet
        fields = ("title", "content")
        widgets: ClassVar[dict[str, forms.Widget]] = {
            "title": forms.TextInput(attrs={"autocomplete": "off"})
        }

    def save(self, commit: bool = True) -> Snippet:
        """Store the snippet, with its expiry counted from its creation."""
        self.instance.expires = self.instance.created + timedelta(days=self.cleaned_data["days"])
        snippet: Snippet = super().save(commit)
        return snippet


class SignupForm(forms.Form):
    """A new user, known by the email address."""

    name = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        max_length=EMAIL_LENGTH, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    password = forms.CharField(
        strip=False,
        help_text="At least 8 characters, and not one that others would guess.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_email(self) -> str:
        """Return the address in lower case: one mailbox, one account."""
        return str(self.cleaned_data["email"]).lower()

    def clean(self) -> dict[str, Any]:
        """Hold the password against Django's validators."""
        data = self.cleaned_data
        user = User(username=data.get("email", ""), first_name=data.get("name", ""))
        try:
            validate_password(data.get("password", ""), user)
        except ValidationError as exc:
            if "password" in data:
                self.add_error("password", exc)
        return data

    def create_user(self) -> User | None:
        """Return the new user, or None, with an error at the email field, if there is one already.

        The database decides, so that of two people in the same moment one gets the address.
        """
        data = self.cleaned_data
        try:
            with transaction.atomic():
                return User.objects.create_user(
                    data["email"], data["email"], data["password"], first_name=data["name"]
                )
        except IntegrityError:
            self.add_error("email", "This email address is already in use.")
            return None


class LoginForm(AuthenticationForm):
    """Django's login form, with the email address in the place of the user name."""

    username = forms.EmailField(
        label="Email",
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    error_messages = {  # noqa: RUF012 - Django declares it so
        **AuthenticationForm.error_messages,
        "invalid_login": "The email address or the password is not correct.",
    }

    def clean_username(self) -> str:
        """Return the address in lower case, as signing up stored it."""
        return str(self.cleaned_data["username"]).lower()
