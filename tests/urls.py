"""The tests' views, each at /<its name>/."""

from django.urls import path

from . import views

VIEWS = [
    views.add_messages,
    views.adelete_session,
    views.adestroy,
    views.alog_in,
    views.apop_flash,
    views.aput,
    views.aput_flash,
    views.aput_while_destroyed,
    views.aread,
    views.arenew_and_fail,
    views.areplace_session_by_dict,
    views.astream,
    views.change_password,
    views.delete_session,
    views.destroy,
    views.destroy_and_put,
    views.expire,
    views.form,
    views.log_in,
    views.log_in_and_look_for_old_token,
    views.log_in_while_destroyed,
    views.renew_while_destroyed,
    views.log_in_while_renewed,
    views.log_out,
    views.log_out_with_flash,
    views.page,
    views.pop_flash,
    views.put,
    views.put_flash,
    views.put_unstorable,
    views.put_while_destroyed,
    views.put_while_renewed,
    views.put_with_cache_control,
    views.read,
    views.read_while_destroyed,
    views.remember,
    views.remove,
    views.renew,
    views.renew_and_put_unstorable,
    views.replace_session,
    views.replace_session_by_dict,
    views.show_messages,
    views.stream,
    views.untouched,
]

urlpatterns = [path(f"{view.__name__}/", view) for view in VIEWS]
