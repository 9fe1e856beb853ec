"""Runs and logs the actions of staff on lists and object pages of the admin.

The admin never changes a row itself. Each action calls a service, so rules hold, events are
published and sockets close. Each row is one transaction together with its log entry: a refusal
does not stop the other rows, and no change is stored without the name of the staff member.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.text import capfirst
from typing_extensions import override

from .db import writing
from .errors import DomainError
from .fields import MAX_ID

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[M]
else:

    class ModelAdmin(admin.ModelAdmin, Generic[M]):
        pass


MAX_ROWS = 100
"""Of one action. Each row is a transaction, and the page answers after the last one."""
MAX_NAMED = 10
"""Rows that a summary lists for one refusal."""


def read_id(text: str) -> int | None:
    """Parses an id such as `12`; None for other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))):
        return None
    return min(int(text), MAX_ID)


@dataclass(frozen=True)  # with slots, Python 3.11 cannot make one of StaffAction[Room]
class StaffAction(Generic[M]):
    """An action that staff may perform on a row.

    `perform` takes the id of the staff member and the row, calls a service, and returns False when
    there was nothing to change. `done` is the word in the log and the summary: "deleted". `log_on`
    is the row whose history shows the action: of a removed member, the room.
    """

    name: str
    button: str
    list_label: str
    permission: str
    effect: str
    done: str
    perform: Callable[[int, M], bool]
    confirm: bool = True
    applies: Callable[[M], bool] = bool
    log_on: Callable[[M], Model] = field(default=lambda row: row)


@dataclass(slots=True)
class Outcome:
    """The results of an action, by row."""

    done: int = 0
    already: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """A button at the top of an object page."""

    label: str
    url: str
    help_text: str = ""
    confirmed: bool = False


def related(request: HttpRequest, label: str, model: str, search: str) -> list[Link]:
    """Returns a link to another list, such as "rooms.member", if staff may view it."""
    app, _, name = model.partition(".")
    codes = (f"{app}.view_{name}", f"{app}.change_{name}")
    if not any(request.user.has_perm(code) for code in codes):
        return []
    return [Link(label, list_url(f"{app}_{name}", search))]


def list_url(model: str, search: str = "") -> str:
    """Returns the URL of a list, such as "rooms_member", with a search."""
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode({'q': search})}" if search else url


def link_to(row: Model | None, text: str) -> str:
    """Returns a link to the object page of a row."""
    if row is None:
        return "-"
    opts = row._meta
    try:
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[quote(row.pk)])
    except NoReverseMatch:
        return text
    return format_html('<a href="{}">{}</a>', url, text)


class ModeratedAdmin(ModelAdmin[M]):
    """Adds staff actions, links to related rows and help texts to the admin's pages."""

    class Media:
        css = {"all": ["moderation/admin.css"]}

    change_list_template = "moderation/change_list.html"
    change_form_template = "moderation/change_form.html"
    staff_actions: ClassVar[Sequence[StaffAction[Any]]] = ()
    column_help: ClassVar[Mapping[str, str]] = {}
    """The meaning of each column of the list, by its heading."""
    field_labels: ClassVar[Mapping[str, str]] = {}
    field_help: ClassVar[Mapping[str, str]] = {}

    def describe(self, row: M) -> str:
        """Describes a row on the confirmation page. Shown, never logged."""
        return str(row)

    def name_of(self, row: M) -> str:
        """Names a row in summaries and the log, without text that a user wrote."""
        return str(row)

    def related_links(self, request: HttpRequest, row: M) -> Iterable[Link]:  # noqa: ARG002
        return ()

    def may(self, request: HttpRequest, action: StaffAction[M]) -> bool:
        return request.user.has_perm(action.permission)

    # Labels and help texts. On the models each new wording would need a migration.

    @override
    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("labels", dict(self.field_labels))
        kwargs.setdefault("help_texts", dict(self.field_help))
        return super().get_form(request, obj, change=change, **kwargs)

    # The list

    @override
    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        for action in self.staff_actions:
            if self.may(request, action):
                found[action.name] = (self._list_action(action), action.name, action.list_label)
        return found

    def _list_action(self, action: StaffAction[M]) -> Callable[..., HttpResponse | None]:
        def run(_: Any, request: HttpRequest, queryset: QuerySet[M]) -> HttpResponse | None:
            rows = list(queryset[: MAX_ROWS + 1])
            if len(rows) > MAX_ROWS:
                text = f"At most {MAX_ROWS} rows at once: nothing was changed"
                self.message_user(request, text, messages.ERROR)
                return None
            if rows and action.confirm and "post" not in request.POST:
                return self._confirmation(request, action, rows)
            self._run(request, action, rows)
            return None

        return run

    @override
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST":
            self._check_actions(request)
        actions = [one for one in self.staff_actions if self.may(request, one)]
        return super().changelist_view(
            request,
            {
                "title": capfirst(self.opts.verbose_name_plural),
                "column_help": self.column_help,
                "action_help": {one.list_label: one.effect for one in actions},
                **(extra_context or {}),
            },
        )

    def _check_actions(self, request: HttpRequest) -> None:
        """Answers 403 for actions that are not offered and 400 for malformed ids.

        Django ignores the former, and a query fails on the latter.
        """
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if any(read_id(text) is None for text in chosen):
            raise BadRequest
        asked = set(request.POST.getlist("action"))
        known = {one.name for one in self.staff_actions}
        known |= {name for name in self.actions or () if isinstance(name, str)}
        if (asked & known) - set(self.get_actions(request)):
            raise PermissionDenied

    # The object page

    @override
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_staff_action"
        view = self.admin_site.admin_view(self.staff_action_view)
        # Before Django's own URLs: the last of them matches every path.
        return [path("<path:object_id>/do/<slug:name>/", view, name=name), *super().get_urls()]

    @override
    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context["subtitle"] = self.name_of(obj)
            context["related_links"] = list(self.related_links(request, obj))
            context["action_links"] = [
                Link(one.button, self._action_url(one, obj), one.effect, one.confirm)
                for one in self.staff_actions
                if self.may(request, one) and one.applies(obj)
            ]
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _action_url(self, action: StaffAction[M], row: M) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_staff_action"
        return reverse(name, args=[quote(row.pk), action.name])

    def staff_action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Shows the confirmation page on GET, performs the action on POST."""
        action = next((one for one in self.staff_actions if one.name == name), None)
        if action is None:
            raise Http404
        if not self.may(request, action):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._gone(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method != "POST":
            return self._confirmation(request, action, [row], one=True)
        self._run(request, action, [row])
        stays = self.get_queryset(request).filter(pk=row.pk).exists()
        where = "change" if stays else "changelist"
        url = reverse(
            f"admin:{self.opts.app_label}_{self.opts.model_name}_{where}",
            args=[quote(row.pk)] if stays else [],
        )
        return HttpResponseRedirect(url)

    def _gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        text = f"{capfirst(self.opts.verbose_name)} {unquote(object_id)} no longer exists"
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(list_url(f"{self.opts.app_label}_{self.opts.model_name}"))

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows a service's refusal above the form; nothing of the form is stored."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    # Confirming and performing

    def _confirmation(
        self, request: HttpRequest, action: StaffAction[M], rows: Sequence[M], *, one: bool = False
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.button}?" if one else f"{action.list_label}?",
            "opts": self.opts,
            "original": self.name_of(rows[0]) if one else None,
            "action": action,
            "rows": [(row.pk, self.describe(row)) for row in rows],
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "media": self.media,
            "back": self._change_url(rows[0]) if one else request.get_full_path(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "moderation/confirm.html", context)

    def _change_url(self, row: M) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[quote(row.pk)])

    def _run(self, request: HttpRequest, action: StaffAction[M], rows: Sequence[M]) -> None:
        outcome = Outcome()
        for row in rows:
            name = self.name_of(row)
            try:
                changed = self._perform(request, action, row, name)
            except DomainError as refusal:
                outcome.refused.setdefault(refusal.message, []).append(name)
            else:
                outcome.done += changed
                outcome.already += not changed
        self._report(request, action, outcome)

    def _perform(self, request: HttpRequest, action: StaffAction[M], row: M, name: str) -> bool:
        """Stores the change and its log entry in one transaction."""
        user_id = request.user.pk or 0
        target = action.log_on(row)
        with writing():
            changed = action.perform(user_id, row)
            if changed:
                log_action(user_id, target, f"{name}: {action.done}")
        return changed

    def _report(self, request: HttpRequest, action: StaffAction[M], outcome: Outcome) -> None:
        if outcome.done:
            text = f"{self._counted(outcome.done)} {action.done}"
            self.message_user(request, text, messages.SUCCESS)
        if outcome.already:
            text = f"Nothing to change for {self._counted(outcome.already)}"
            self.message_user(request, text, messages.INFO)
        for reason, names in outcome.refused.items():
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            text = f"Refused for {', '.join(names[:MAX_NAMED])}{more}. {reason}"
            self.message_user(request, text, messages.ERROR)
        if not (outcome.done or outcome.already or outcome.refused):
            text = "Nothing to do: the selected rows no longer exist"
            self.message_user(request, text, messages.WARNING)

    def _counted(self, count: int) -> str:
        noun = self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural
        return f"{count} {noun}"


def log_action(user_id: int, target: Model, text: str) -> LogEntry:
    """Adds a line to the history of a row and to the log of staff actions."""
    return LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(target),
        object_id=target.pk,
        object_repr=str(target)[:200],
        action_flag=CHANGE,
        change_message=text,
    )
