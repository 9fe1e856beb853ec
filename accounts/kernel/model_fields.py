"""Defines model fields: keys that compare names, and texts that the API checks."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from typing_extensions import override

from .display_text import display_text

if TYPE_CHECKING:
    # Django's own class takes no parameters while running.
    TextColumn = models.CharField[str, str]
else:
    TextColumn = models.CharField


class KeyField(TextColumn):
    """A text that databases compare character by character, as Python does.

    So the texts with one beginning are a range, in the same order everywhere. PostgreSQL would
    compare by the rules of a language; SQLite does it this way by itself.
    """

    @override
    def db_parameters(self, connection: Any) -> Any:
        collation = "C" if connection.vendor == "postgresql" else None
        return super().db_parameters(connection) | {"collation": collation}


class DisplayField(TextColumn):
    """A title, topic or display name; `lines` allows line breaks."""

    def __init__(self, *args: Any, lines: bool = False, **kwargs: Any) -> None:
        self.lines = lines
        super().__init__(*args, **kwargs)

    @override
    def clean(self, value: Any, model_instance: Any) -> str:
        text: str = super().clean(value, model_instance)
        try:
            return display_text(self.max_length or 0, lines=self.lines)(text)
        except ValueError as error:
            raise ValidationError(f"This text {error}") from error

    @override
    def formfield(self, **kwargs: Any) -> Any:
        # A one-line input drops line breaks.
        return super().formfield(**kwargs | ({"widget": forms.Textarea} if self.lines else {}))

    @override
    def deconstruct(self) -> Any:
        """Is a plain CharField in migrations: the rules do not change the table."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
