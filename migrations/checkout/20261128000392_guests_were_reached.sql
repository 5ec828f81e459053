-- In a transaction of its own: the lock of the migration before would be held for as long as the table is read.
alter table checkout.orders validate constraint orders_guest_is_reached;
