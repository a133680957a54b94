"""Each string for users is translated, and what is compiled is what is written."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest

import django_scs

FOLDER = Path(django_scs.__file__).parent / "locale"
LANGUAGES = sorted(path.name for path in FOLDER.iterdir())
ENTRY = re.compile(r'^msgid "(.+)"\n(?:msgid_plural "(.+)"\n)?msgstr(?:\[0\])? "(.*)"$', re.M)


def test_languages_are_there() -> None:
    assert LANGUAGES == ["de", "fr"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_entry_is_translated_and_compiled(language: str) -> None:
    folder = FOLDER / language / "LC_MESSAGES"
    entries = ENTRY.findall((folder / "django.po").read_text())
    assert len(entries) > 50
    with (folder / "django.mo").open("rb") as compiled:
        catalogue = gettext.GNUTranslations(compiled)
    for text, plural, translation in entries:
        assert translation, text
        found = catalogue.ngettext(text, plural, 1) if plural else catalogue.gettext(text)
        assert found == translation


def test_languages_have_the_same_entries() -> None:
    found = [
        {text for text, *_ in ENTRY.findall((FOLDER / each / "LC_MESSAGES/django.po").read_text())}
        for each in LANGUAGES
    ]
    assert found[0] == found[1]
