-- Who may come in.
create schema if not exists auth;

create table auth.users (
    id            uuid primary key,
    email         text not null check (length(email) between 3 and 254),
    name          text not null check (length(name) between 1 and 100),
    password_hash text not null,
    role          text not null default 'customer' check (role in ('customer', 'admin')),
    created_at    timestamptz not null default now(),
    disabled_at   timestamptz
);

-- One account per address, whatever its case.
create unique index users_email_key on auth.users (lower(email));

-- A session is a family of refresh tokens: each one's successor belongs to the same session.
create table auth.sessions (
    id                  uuid primary key,
    user_id             uuid not null references auth.users (id),
    created_at          timestamptz not null,
    last_seen_at        timestamptz not null,
    absolute_expires_at timestamptz not null,
    revoked_at          timestamptz,
    revoke_reason       text,
    check ((revoked_at is null) = (revoke_reason is null))
);

create index sessions_user_idx on auth.sessions (user_id) where revoked_at is null;

-- Only the SHA-256 of a token is kept. A spent token stays as long as its session, or its reuse could not be noticed.
create table auth.refresh_tokens (
    hash           bytea primary key check (length(hash) = 32),
    session_id     uuid not null references auth.sessions (id) on delete cascade,
    issued_at      timestamptz not null,
    expires_at     timestamptz not null,
    used_at        timestamptz,
    successor_hash bytea,
    check ((used_at is null) = (successor_hash is null))
);

create index refresh_tokens_session_idx on auth.refresh_tokens (session_id);
create index refresh_tokens_expires_idx on auth.refresh_tokens (expires_at);
