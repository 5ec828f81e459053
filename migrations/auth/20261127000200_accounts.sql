-- What an account's own user sees and changes of it.

-- Addresses are compared by a form that the program makes (NFKC, folded case), so that it and the database never see two
-- where the other sees one. Where two accounts of before would share that form, each keeps the one that it had.
alter table auth.users add column email_key text;

with keyed as (
    select id, lower(normalize(email, nfkc)) as key, count(*) over (partition by lower(normalize(email, nfkc))) as sharing
    from auth.users
)
update auth.users u set email_key = case when keyed.sharing = 1 then keyed.key else lower(u.email) end
from keyed where keyed.id = u.id;

alter table auth.users alter column email_key set not null;
create unique index users_email_key_idx on auth.users (email_key);
drop index auth.users_email_key;

-- For programs of the version before, while they are replaced: they look for lower(email), and give no form.
create index users_email_idx on auth.users (lower(email));

create function auth.fill_email_key() returns trigger language plpgsql as $$
begin
    new.email_key := coalesce(new.email_key, lower(new.email));
    return new;
end
$$;

create trigger users_fill_email_key before insert on auth.users for each row execute function auth.fill_email_key();

create index users_disabled_idx on auth.users (disabled_at) where disabled_at is not null;

alter table auth.sessions add column user_agent text check (length(user_agent) <= 200);

-- What has ended lately, for those who verify access tokens; and what may be deleted.
create index sessions_revoked_idx on auth.sessions (revoked_at) where revoked_at is not null;
create index sessions_end_idx on auth.sessions (absolute_expires_at);

create table auth.addresses (
    id          uuid primary key,
    user_id     uuid not null references auth.users (id),
    name        text not null,
    line1       text not null,
    line2       text,
    city        text not null,
    postal_code text not null,
    country     text not null check (country ~ '^[A-Z]{2}$')
);

create index addresses_user_idx on auth.addresses (user_id, id);
