-- Those who run the shop list the orders of everybody, the newest first, at times of one status.
create index orders_placed_idx on checkout.orders (placed_at, id);
create index orders_status_idx on checkout.orders (status, placed_at, id);
