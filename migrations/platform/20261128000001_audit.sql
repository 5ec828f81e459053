-- What those who run the shop did. A line is written in the transaction of the change that it tells of, and stays as it is.
create schema if not exists audit;

create table audit.log (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default now(),
    -- An admin, by the id of the account; or who worked on the server's own command line, by name.
    actor       uuid,
    operator    text,
    action      text not null,
    object_kind text not null,
    object_id   text not null,
    before      jsonb,
    after       jsonb,
    trace_id    text,
    check ((actor is null) <> (operator is null))
);

create index log_object_idx on audit.log (object_kind, object_id, id);
create index log_actor_idx on audit.log (actor, id) where actor is not null;

-- Rights alone do not keep out a superuser, which the embedded server's account is.
create function audit.only_grows() returns trigger language plpgsql as $$
begin
    raise exception 'audit.log only grows: what is in it is neither changed nor deleted'
        using errcode = 'insufficient_privilege';
end
$$;

create trigger log_only_grows before update or delete or truncate on audit.log
    for each statement execute function audit.only_grows();

revoke update, delete, truncate on audit.log from public, current_user;
