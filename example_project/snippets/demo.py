"""What the demo shows: a user, and snippets in the public domain or written for it."""

from typing import NamedTuple

EMAIL = "demo@example.com"
PASSWORD = "a-box-of-snippets"  # noqa: S105 - published on purpose, for a machine of one's own
NAME = "Demo"


class Text(NamedTuple):
    """A snippet that is kept for some days and is some minutes old already."""

    title: str
    content: str
    days: int
    age: int


TEXTS = [
    Text(
        "Old pond",
        """\
furu ike ya
kawazu tobikomu
mizu no oto

Old pond —
frogs jumped in —
sound of water.

Matsuo Bashō, 1686
tr. Lafcadio Hearn, 1898""",
        days=365,
        age=4,
    ),
    Text(
        "A flash that shows once",
        """\
def create(request):
    snippet = save_snippet(request.POST)
    flash.put(request, "Snippet successfully created!")
    return redirect(snippet)

def view(request, pk):
    # Of two tabs that ask at the same moment, one gets it.
    message = flash.pop(request)
    ...""",
        days=365,
        age=38,
    ),
    Text(
        "To make a prairie",
        """\
To make a prairie it takes a clover and one bee,
One clover, and a bee,
And revery.
The revery alone will do,
If bees are few.

Emily Dickinson""",
        days=365,
        age=150,
    ),
    Text(
        "The same flash, in Go",
        """\
func (app *application) view(w http.ResponseWriter, r *http.Request) {
\tmessage := app.sessions.PopString(r.Context(), "flash")
\tif message != "" {
\t\tfmt.Fprintln(w, message)
\t}
}""",
        days=7,
        age=60 * 20,
    ),
    Text(
        "Who has seen the wind?",
        """\
Who has seen the wind?
    Neither I nor you:
But when the leaves hang trembling
    The wind is passing thro'.

Who has seen the wind?
    Neither you nor I:
But when the trees bow down their heads
    The wind is passing by.

Christina Rossetti, 1872""",
        days=365,
        age=60 * 27,
    ),
    Text(
        "Sessions alive",
        """\
SELECT count(*) AS sessions,
       min(expiry) AS next_to_end
  FROM sessions
 WHERE current_timestamp < expiry;""",
        days=365,
        age=60 * 24 * 3,
    ),
    Text(
        "Eternity",
        """\
He who binds to himself a joy
Does the winged life destroy;
But he who kisses the joy as it flies
Lives in eternity's sun rise.

William Blake""",
        days=365,
        age=60 * 24 * 9,
    ),
]
