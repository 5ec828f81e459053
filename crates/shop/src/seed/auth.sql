-- user00001@example.test and so on, all with the password correct-horse-battery. They share a few hashes: hashing five
-- thousand would take minutes.

-- step: registering {users} users

insert into auth.users (id, email, email_key, name, password_hash, created_at)
select pg_temp.id('a00', n, pg_temp.today() - interval '2 years' + n * interval '1 hour'),
       'user' || lpad(n::text, greatest(5, length(n::text)), '0') || '@example.test',
       'user' || lpad(n::text, greatest(5, length(n::text)), '0') || '@example.test',
       'User ' || lpad(n::text, greatest(5, length(n::text)), '0'),
       '$argon2id$v=19$m=19456,t=2,p=1$' || (array[
           'l2X5BmKbWnOuu3VsGk7lMQ$e3APqMCDafcMoUzfVQBa8JXxCNk13kEDe/Brs2x4Ao0',
           '2H5D3YywFSh6+LKrNhL31Q$HEUIeGpPiU0Fqg8ZHd6cE5HWrFv+dgVzZza4cFPttDQ',
           '1QAhTDL8xc1Uop62q3sosA$xIGYpnJ34urINq3VN94CB72rtFHUFZq6V0/f2x+UkEU',
           'YC+VB8OrGRE1+6P4kAsaHQ$avrSt1NIbpSngnvRnphNK0ikeuLEuyjlQN4CacU9J7w',
           'zTRYHq785X0uvlrxtvXw7w$imoyIKhCnlWOFOVTZvfjw7z17IP+adK4exuMHGiDBH8',
           'Y7pC7GegB8G9b5wJRo0MuQ$FiMCyqX5BlXzHTKRMy6faqHyfxPAVENFtrMuyowXJZg',
           'kcggdq8UEXOSvmsw+vXdwg$pzFQ2SGK/zt8vwR8KuLVaBCXJ6q4IV+U1mu37heWye8',
           'ZdNIu8cPJSVHw/L6JUUv9w$lZkiC7Ntf1L/aGukoEfX/Ypc1gmmYJX2Gs52iaYC7lk'
       ])[1 + n % 8],
       pg_temp.today() - interval '2 years' + n * interval '1 hour'
from generate_series(1, current_setting('seed.users')::bigint) n;
