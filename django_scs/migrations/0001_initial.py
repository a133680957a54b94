from django.db import migrations, models

import django_scs.fields


class Migration(migrations.Migration):
    initial = True

    operations = [
        # One operation, so that --fake-initial adopts a table that scs's own DDL has created.
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "token",
                    django_scs.fields.TokenField(
                        max_length=43, primary_key=True, serialize=False, verbose_name="token"
                    ),
                ),
                ("data", django_scs.fields.DataField(verbose_name="data")),
                ("expiry", django_scs.fields.ExpiryField(verbose_name="expiry")),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "db_table": "sessions",
                "abstract": False,
                "indexes": [models.Index(fields=["expiry"], name="sessions_expiry_idx")],
            },
        ),
    ]
