-- What people call an order by: unique, of no use for counting sales, and with a check digit against slips of the pen.

-- FB- and three groups of four. 53 bits by chance, none of them a vowel or a letter that looks like a digit, and a check digit:
-- the sum of each character's value times its place, 1 to 12, is a multiple of 29, which no single wrong character is, and no
-- two that are swapped. In as many as 10^7 orders the chance that any two meet is 1 to 200; then the later one is refused, and
-- may be sent again.
create function checkout.order_number(drawn bytea) returns text language plpgsql immutable strict parallel safe as $$
declare
    alphabet constant text := '0123456789BCDFGHJKMNPQRSTVWXZ';
    -- Bytes 6 and 8 of a UUID hold its version.
    v constant int[] := array[
        get_byte(drawn, 0) % 29, get_byte(drawn, 1) % 29, get_byte(drawn, 2) % 29, get_byte(drawn, 3) % 29,
        get_byte(drawn, 4) % 29, get_byte(drawn, 5) % 29, get_byte(drawn, 9) % 29, get_byte(drawn, 10) % 29,
        get_byte(drawn, 11) % 29, get_byte(drawn, 12) % 29, get_byte(drawn, 13) % 29
    ];
    weighed constant int := v[1] + 2 * v[2] + 3 * v[3] + 4 * v[4] + 5 * v[5] + 6 * v[6] + 7 * v[7] + 8 * v[8] + 9 * v[9]
                        + 10 * v[10] + 11 * v[11];
    -- 12 * 17 = 204 = 7 * 29 + 1: to multiply with 17 is to divide by 12.
    check_digit constant int := (29 - weighed % 29) * 17 % 29;
begin
    return 'FB-' || substr(alphabet, v[1] + 1, 1) || substr(alphabet, v[2] + 1, 1) || substr(alphabet, v[3] + 1, 1)
        || substr(alphabet, v[4] + 1, 1) || '-' || substr(alphabet, v[5] + 1, 1) || substr(alphabet, v[6] + 1, 1)
        || substr(alphabet, v[7] + 1, 1) || substr(alphabet, v[8] + 1, 1) || '-' || substr(alphabet, v[9] + 1, 1)
        || substr(alphabet, v[10] + 1, 1) || substr(alphabet, v[11] + 1, 1) || substr(alphabet, check_digit + 1, 1);
end
$$;

create function checkout.new_order_number() returns text language sql volatile as $$
    select checkout.order_number(uuid_send(gen_random_uuid()))
$$;

-- Orders that are there get one each, and so do those of a program that knows of none.
alter table checkout.orders
    add column number text not null default checkout.new_order_number(),
    -- Where its buyer hears of it, if that is said in the order.
    add column contact_email text check (length(contact_email) between 3 and 254);

create unique index orders_number_key on checkout.orders (number);
