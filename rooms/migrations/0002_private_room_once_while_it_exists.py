"""Two users may open a private room anew after staff deleted theirs."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rooms", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="room",
            name="room_pair_once",
        ),
        migrations.AddConstraint(
            model_name="room",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at", None)),
                fields=("low", "high"),
                name="room_pair_once",
            ),
        ),
    ]
