-- What is paid back for a return, so that it is known to be paid whoever hears of it.
alter table checkout.returns add column refund_id uuid unique references checkout.refunds (id);

create index returns_all_idx on checkout.returns (created_at, id);
