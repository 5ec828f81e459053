-- step: measuring the tables

-- So that the first requests find good plans, before autovacuum has looked.
analyze catalog.categories, catalog.products, catalog.skus, auth.users, checkout.inventory, checkout.orders,
    checkout.order_items, checkout.payments, checkout.order_events, payment_simulator.charges;
