-- Abandoned carts are deleted, those of nobody earlier than those of users: an index for each, in place of one for both.
create index carts_anonymous_idx on checkout.carts (updated_at) where status = 'open' and user_id is null;
create index carts_owned_idx on checkout.carts (updated_at) where status = 'open' and user_id is not null;
drop index checkout.carts_open_idx;
