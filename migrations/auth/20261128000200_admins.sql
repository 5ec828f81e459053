-- Those who run the shop are few, and are listed.
create index users_admin_idx on auth.users (email_key) where role = 'admin';
