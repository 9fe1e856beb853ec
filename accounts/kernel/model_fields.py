"""Model fields that forms of the admin check as the API checks its bodies."""

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


class DisplayField(TextColumn):
    """A title, topic or display name. With `lines` it may hold line breaks."""

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
        # The one-line input of a browser drops line breaks.
        return super().formfield(**kwargs | ({"widget": forms.Textarea} if self.lines else {}))

    @override
    def deconstruct(self) -> Any:
        """In migrations it is a plain column: no rule of ours changes the table."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
