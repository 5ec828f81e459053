-- Of a guest nothing else is known than where to reach him. The program has asked for it since there are guests; now the database does.
-- Judges what is written from now on; what is there already, the next migration, which keeps nobody from writing meanwhile.
alter table checkout.orders add constraint orders_guest_is_reached
    check (user_id is not null or contact_email is not null) not valid;
